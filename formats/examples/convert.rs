//! Writes a raw disk in another format and says how long that took:
//! `convert INPUT FORMAT none|zlib|zstd OUTPUT`. Holes of the input are read
//! as data, so this measures writers, not real builds.

use std::{error::Error, fs::File, sync::Arc, time::Instant};

use diskwright_formats::{
    data::{Data, ReadAt},
    sparse::Sparse,
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
    let source = File::open(input)?;
    let len = source.metadata()?.len();
    let source: Arc<dyn ReadAt> = Arc::new(source);
    let disk = Sparse::from_data(Data::from_source(source, 0, len));
    let writer = writer::by_name(format).ok_or("no such format")?;
    let out = File::create(output)?;
    let start = Instant::now();
    let options = Options { compression, ..Options::default() };
    writer.write(&disk, &options, &out, &())?;
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), out.metadata()?.len());
    println!("{seconds:.2} s, {bytes} bytes");
    Ok(())
}
