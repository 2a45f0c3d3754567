//! GET of HTTP/1.1 (RFC 9110, RFC 9112), as far as the files of a web server need it: from a byte on
//! to the end, one request a connection. Left out are TLS, proxies and bodies without a length.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use httparse::{EMPTY_HEADER, Response, Status};

use crate::address::Address;

/// Longest head of an answer, in bytes, and most fields in it.
const HEAD_MAX: u64 = 16 << 10;
const FIELDS_MAX: usize = 64;
/// Redirections that are followed.
const REDIRECTIONS_MAX: usize = 5;
/// How long a server may take to be reached, and to send the next byte.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// Why there is no answer that could be used.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may go away by itself.
    Passing(String),
    /// It will be the same next time.
    Final(String),
}

/// A file from some byte on, as it arrives.
pub(crate) struct Body {
    stream: BufReader<TcpStream>,
    /// The byte that comes next.
    pub(crate) at: u64,
    /// Bytes of the whole file.
    pub(crate) len: u64,
}

/// The head of an answer, as far as it matters.
struct Head {
    code: u16,
    reason: String,
    /// Bytes that follow.
    length: Option<u64>,
    /// First byte that follows, and bytes of the whole file.
    range: Option<(u64, u64)>,
    location: Option<String>,
    is_coded: bool,
}

/// Asks for the file at `address` from byte `from` on.
pub(crate) fn get(address: &Address, from: u64) -> Result<Body, Failure> {
    let mut address = address.clone();
    for _ in 0..=REDIRECTIONS_MAX {
        let (head, stream) = ask(&address, from).map_err(|why| passing(&address, &why))?;
        match head.code {
            301 | 302 | 303 | 307 | 308 => address = moved(&address, &head)?,
            _ => return body(&address, &head, stream, from),
        }
    }
    Err(Failure::Final(format!("{address}: more than {REDIRECTIONS_MAX} redirections")))
}

fn passing(address: &Address, why: &io::Error) -> Failure {
    Failure::Passing(format!("{address}: {why}"))
}

fn moved(address: &Address, head: &Head) -> Result<Address, Failure> {
    let to = head.location.as_deref().unwrap_or_default();
    address.join(to).map_err(|why| Failure::Final(format!("{address} leads elsewhere: {why}")))
}

fn ask(address: &Address, from: u64) -> io::Result<(Head, BufReader<TcpStream>)> {
    let mut stream = connect(address)?;
    let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: diskwright-install\r\nAccept-Encoding: identity\r\n\
         {range}Connection: close\r\n\r\n",
        address.path(),
        address.authority()
    );
    stream.write_all(request.as_bytes())?;
    let mut stream = BufReader::with_capacity(BUFFER, stream);
    let head = head(&mut stream)?;
    Ok((head, stream))
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut why = io::Error::other("the name has no address");
    for socket in address.socket().to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
                stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn head(stream: &mut impl io::BufRead) -> io::Result<Head> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("no answer of HTTP: {what}"));
    let (mut text, mut limited) = (Vec::new(), stream.take(HEAD_MAX));
    while !text.ends_with(b"\r\n\r\n") {
        if limited.read_until(b'\n', &mut text)? == 0 {
            return Err(bad("its head does not end"));
        }
    }
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut answer = Response::new(&mut fields);
    match answer.parse(&text) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(bad("its head does not end")),
        Err(why) => return Err(bad(&why.to_string())),
    }
    let field = |name: &str| {
        let found = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.and_then(|field| std::str::from_utf8(field.value).ok())
    };
    Ok(Head {
        code: answer.code.unwrap_or_default(),
        reason: answer.reason.unwrap_or_default().to_owned(),
        length: field("content-length").and_then(|text| text.trim().parse().ok()),
        range: field("content-range").and_then(range),
        location: field("location").map(ToOwned::to_owned),
        is_coded: field("transfer-encoding").is_some(),
    })
}

/// `bytes FIRST-LAST/LENGTH`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (span, len) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    Some((span.split_once('-')?.0.parse().ok()?, len.parse().ok()?))
}

fn body(
    address: &Address,
    head: &Head,
    mut stream: BufReader<TcpStream>,
    from: u64,
) -> Result<Body, Failure> {
    let failed = |why: &str| format!("{address}: {why}");
    match (head.code, head.length, head.range) {
        (200 | 206, ..) if head.is_coded => {
            Err(Failure::Final(failed("the server sends files without their length (Transfer-Encoding)")))
        }
        // a server that knows no ranges: what is had already comes once more
        (200, Some(len), _) if len >= from => match skip(&mut stream, from) {
            Ok(()) => Ok(Body { stream, at: from, len }),
            Err(why) => Err(passing(address, &why)),
        },
        (206, _, Some((first, len))) if first == from => Ok(Body { stream, at: from, len }),
        (200 | 206, ..) => Err(Failure::Final(failed("the server does not say which bytes it sends"))),
        (408 | 425 | 429 | 500.., ..) => Err(Failure::Passing(failed(&answered(head)))),
        _ => Err(Failure::Final(failed(&answered(head)))),
    }
}

fn answered(head: &Head) -> String {
    format!("the server answers {} {}", head.code, head.reason)
}

fn skip(stream: &mut impl Read, len: u64) -> io::Result<()> {
    let skipped = io::copy(&mut stream.take(len), &mut io::sink())?;
    if skipped == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.len - self.at).unwrap_or(usize::MAX).min(buf.len());
        let count = self.stream.read(&mut buf[..count])?;
        if count == 0 && self.at < self.len && !buf.is_empty() {
            let missing = self.len - self.at;
            return Err(io::Error::other(format!("the connection ended {missing} bytes early")));
        }
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_others_are_none() {
        let text =
            "HTTP/1.1 206 Partial Content\r\ncontent-RANGE: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde";
        let head = head(&mut text.as_bytes()).unwrap();
        assert_eq!((head.code, head.length, head.range), (206, Some(5), Some((5, 10))));
        for bad in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n"] {
            assert!(super::head(&mut bad.as_bytes()).is_err(), "{bad}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(HEAD_MAX as usize));
        assert!(super::head(&mut endless.as_bytes()).is_err());
    }

    #[test]
    fn ranges_without_a_length_are_none() {
        assert_eq!(range("bytes 5-9/10"), Some((5, 10)));
        assert_eq!((range("bytes 5-9/*"), range("bytes */10"), range("lines 1-2/3")), (None, None, None));
    }
}
