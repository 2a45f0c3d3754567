//! Points in time as ISO 9660 writes them, in UTC: 7 bytes in records (years
//! 1900 to 2155), 17 digits in descriptors (years 1 to 9999). Times outside are
//! moved to the nearest one inside.

use crate::tree::Time;

/// Bytes of the short form.
pub(super) const SHORT_BYTES: usize = 7;
/// 1900-01-01 00:00:00.
const FIRST_SHORT: i64 = -2_208_988_800;
/// 2155-12-31 23:59:59.
const LAST_SHORT: i64 = 5_869_583_999;
/// 0001-01-01 00:00:00.
const FIRST_LONG: i64 = -62_135_596_800;
/// 9999-12-31 23:59:59.
const LAST_LONG: i64 = 253_402_300_799;
const DAY: i64 = 86_400;

/// Whether the short form can say it.
pub(super) const fn is_short(time: Time) -> bool {
    FIRST_SHORT <= time.seconds && time.seconds <= LAST_SHORT
}

/// Section 9.1.5 of ECMA-119.
pub(super) fn short(time: Time) -> [u8; SHORT_BYTES] {
    let [year, rest @ ..] = fields(time.seconds.clamp(FIRST_SHORT, LAST_SHORT));
    let [month, day, hour, minute, second] = rest.map(|value| value as u8);
    [(year - 1900) as u8, month, day, hour, minute, second, 0]
}

/// Section 8.4.26.1 of ECMA-119.
pub(super) fn long(time: Time) -> [u8; 17] {
    let [year, month, day, hour, minute, second] = fields(time.seconds.clamp(FIRST_LONG, LAST_LONG));
    let hundredths = time.nanoseconds / 10_000_000;
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{hundredths:02}");
    let mut bytes = [0; 17];
    bytes[..16].copy_from_slice(text.as_bytes());
    bytes
}

/// No point in time: sixteen digits zero.
pub(super) fn unspecified() -> [u8; 17] {
    let mut bytes = [b'0'; 17];
    bytes[16] = 0;
    bytes
}

/// Year, month, day, hour, minute, second.
const fn fields(seconds: i64) -> [i64; 6] {
    let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let [year, month, day] = civil(days);
    [year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60]
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar.
const fn civil(days: i64) -> [i64; 3] {
    const DAYS_PER_ERA: i64 = 146_097;
    let since_0000_03_01 = days + 719_468;
    let era = since_0000_03_01.div_euclid(DAYS_PER_ERA);
    let day_of_era = since_0000_03_01.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    [era * 400 + year_of_era + (month <= 2) as i64, month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Time {
        Time { seconds, nanoseconds: 0 }
    }

    #[test]
    fn dates_are_those_of_date_1() {
        assert_eq!(short(at(1_709_210_096)), [124, 2, 29, 12, 34, 56, 0]);
        assert_eq!(short(at(-1)), [69, 12, 31, 23, 59, 59, 0]);
        assert_eq!(&long(at(253_402_300_799)), b"9999123123595900\0");
        assert_eq!(&long(at(-62_135_596_800)), b"0001010100000000\0");
    }

    #[test]
    fn the_short_form_has_256_years() {
        assert_eq!(short(at(FIRST_SHORT)), [0, 1, 1, 0, 0, 0, 0]);
        assert_eq!(short(at(LAST_SHORT)), [255, 12, 31, 23, 59, 59, 0]);
        assert!(is_short(at(LAST_SHORT)) && !is_short(at(LAST_SHORT + 1)) && !is_short(at(FIRST_SHORT - 1)));
        assert_eq!(short(at(i64::MAX)), short(at(LAST_SHORT)));
    }
}
