//! Writes a raw disk in another format and says how long that took:
//! `convert INPUT FORMAT none|zlib|zstd OUTPUT`.

use std::{error::Error, fs::File, time::Instant};

use diskwright_formats::{
    reader,
    writer::{self, Compression, Options},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [input, format, compression, output] = &arguments[..] else {
        return Err("convert INPUT FORMAT none|zlib|zstd OUTPUT".into());
    };
    let compression = match compression.as_str() {
        "none" => Compression::None,
        "zlib" => Compression::Zlib,
        "zstd" => Compression::Zstd,
        other => return Err(format!("no such compression: {other}").into()),
    };
    let disk = reader::open(File::open(input)?)?;
    let writer = writer::by_name(format).ok_or("no such format")?;
    let out = File::create(output)?;
    let start = Instant::now();
    let options = Options { compression, ..Options::default() };
    writer.write(&disk, &options, &out, &())?;
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), out.metadata()?.len());
    println!("{seconds:.2} s, {bytes} bytes");
    Ok(())
}
