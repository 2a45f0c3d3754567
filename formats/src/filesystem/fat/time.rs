//! DOS time stamps: a date of 16 bits, a time in steps of two seconds, UTC.
//! Times outside 1980..=2107 are moved to the nearest one inside.

use crate::tree::Time;

/// 1980-01-01 00:00:00.
const FIRST: i64 = 315_532_800;
/// 2107-12-31 23:59:59.
const LAST: i64 = 4_354_819_199;

/// A point in time as directory entries hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Year since 1980, month, day: 7, 4 and 5 bits.
    pub(super) date: u16,
    /// Hour, minute, second / 2: 5, 6 and 5 bits.
    pub(super) time: u16,
    /// Hundredths of a second that `time` leaves out.
    pub(super) hundredths: u8,
}

impl From<Time> for Stamp {
    fn from(time: Time) -> Self {
        let seconds = time.seconds.clamp(FIRST, LAST);
        let nanoseconds = if seconds == time.seconds { time.nanoseconds } else { 0 };
        let (year, month, day) = civil(seconds / 86_400);
        let second = seconds % 86_400;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        Self {
            date: ((year - 1980) << 9 | month << 5 | day) as u16,
            time: (hour << 11 | minute << 5 | (second % 60 / 2)) as u16,
            hundredths: (second % 2 * 100) as u8 + (nanoseconds / 10_000_000) as u8,
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, years starting in March inside.
const fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let since_0000_03_01 = days + 719_468;
    let era = since_0000_03_01 / DAYS_PER_ERA;
    let day_of_era = since_0000_03_01 % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: i64, nanoseconds: u32) -> Stamp {
        Stamp::from(Time { seconds, nanoseconds })
    }

    #[test]
    fn dates_are_those_of_date_1() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(1_709_164_800 / 86_400), (2024, 2, 29));
        assert_eq!(civil(LAST / 86_400), (2107, 12, 31));
        assert_eq!(civil(4_107_542_400 / 86_400), (2100, 3, 1));
    }

    #[test]
    fn times_outside_the_range_are_clamped() {
        assert_eq!(stamp(-5, 7), Stamp { date: 1 << 5 | 1, time: 0, hundredths: 0 });
        let last = Stamp { date: 127 << 9 | 12 << 5 | 31, time: 23 << 11 | 59 << 5 | 29, hundredths: 100 };
        assert_eq!(stamp(i64::MAX, 999_999_999), last);
        assert_eq!(stamp(LAST, 990_000_000).hundredths, 199);
    }
}
