//! Several layers on each other: whiteouts, opaque directories, replaced
//! types, hard links into lower layers.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use diskwright::source::{self, CacheChoice, Options};

use crate::{
    agrees,
    listing::{self, Listing, assert_same, differences},
    merge,
};

/// The layers of `layers.py` in a directory, lowest first.
fn layers() -> (tempfile::TempDir, Vec<PathBuf>) {
    let work = tempfile::tempdir().unwrap();
    let text = include_str!("layers.py");
    agrees("python3", Command::new("python3").args(["-c", text]).arg(work.path()));
    let layers = (1..=3).map(|index| work.path().join(format!("{index}.tar"))).collect();
    (work, layers)
}

fn read(layers: &[PathBuf]) -> Vec<Vec<u8>> {
    layers.iter().map(|layer| fs::read(layer).unwrap()).collect()
}

/// Where umoci is known to differ, made equal:
/// - directories that no member describes have the time of their making there, 0 here;
/// - making one changes the time of the directory around it there, and the
///   root, which the last layer describes early, keeps the time of the last change;
/// - `nothing`, which only a whiteout is said to be in, does not come to be
///   there. It does here, in overlayfs and in bootc.
fn as_umoci(mut listing: Listing) -> Listing {
    let long = format!("usr/lib/{}", "n".repeat(200));
    for path in ["", "usr/lib", "dirs", "implicit", "implicit/parents", "implicit/parents/of", &long] {
        listing.get_mut(path).unwrap_or_else(|| panic!("no {path}")).mtime = (0, 0);
    }
    listing.remove("nothing");
    listing
}

fn umoci(arguments: &[&str]) {
    agrees("umoci", Command::new("umoci").args(arguments));
}

#[test]
fn layers_as_umoci_unpacks_them() {
    let (work, layers) = layers();
    let (bundle, layout) = (work.path().join("bundle"), work.path().join("layout"));
    umoci(&["unpack", "--image", &format!("{}:v1", layout.display()), &bundle.display().to_string()]);
    let theirs = as_umoci(listing::of_directory(&bundle.join("rootfs")));
    let ours = as_umoci(merge(&read(&layers)));
    assert_same("umoci", &ours, &theirs);
    assert_eq!(
        ours["new/again"].linked.as_deref(),
        Some("new/again"),
        "a hard link through a linked directory"
    );
    assert_eq!(
        ours["home/dotfile"].size,
        "must stay".len() as u64,
        "a whiteout went through a symbolic link"
    );
}

#[test]
fn a_missing_whiteout_is_seen() {
    let (work, mut layers) = layers();
    let (bundle, layout) = (work.path().join("bundle"), work.path().join("layout"));
    umoci(&["unpack", "--image", &format!("{}:v1", layout.display()), &bundle.display().to_string()]);
    let theirs = as_umoci(listing::of_directory(&bundle.join("rootfs")));
    layers.remove(1);
    let ours = merge(&read(&layers[..1]));
    let lines = differences(&ours, &theirs).join("\n");
    for path in ["/etc/gone: only ours", "/dirs/removed: only ours", "/dirs/emptied/file: only ours"] {
        assert!(lines.contains(path), "{path} is not in {lines}");
    }
}

/// The image's layers as its manifest names them, uncompressed by the judge.
fn layers_of(layout: &Path, tag: &str) -> Vec<Vec<u8>> {
    let reference = format!("oci:{}:{tag}", layout.display());
    let options = Options { cache: CacheChoice::Off, ..Options::default() };
    let image = source::open(&reference.parse().unwrap(), &options, &()).unwrap();
    let bytes = |layer: &source::Layer| {
        let mut bytes = vec![0; usize::try_from(layer.tar_len).unwrap()];
        layer.tar.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    image.layers.iter().map(bytes).collect()
}

/// The directory a layer was made of is the judge: what umoci packs, layer by
/// layer, after random changes, must merge into that directory again.
#[test]
fn random_changes_packed_by_umoci() {
    for seed in 1..=4 {
        let work = tempfile::tempdir().unwrap();
        let (layout, bundle) = (work.path().join("layout"), work.path().join("bundle"));
        let (image, bundle_text) = (format!("{}:v1", layout.display()), bundle.display().to_string());
        umoci(&["init", "--layout", &layout.display().to_string()]);
        umoci(&["new", "--image", &image]);
        umoci(&["unpack", "--image", &image, &bundle_text]);
        for step in 0..4 {
            let mut command = Command::new("python3");
            command.args(["-c", include_str!("mutate.py")]).arg(bundle.join("rootfs"));
            agrees("python3", command.arg((seed * 100 + step).to_string()));
            umoci(&["repack", "--refresh-bundle", "--image", &image, &bundle_text]);
            let theirs = listing::of_directory(&bundle.join("rootfs"));
            let ours = merge(&layers_of(&layout, "v1"));
            assert_same(&format!("seed {seed}, layer {step}"), &ours, &theirs);
        }
    }
}
