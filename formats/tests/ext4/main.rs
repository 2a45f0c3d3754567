//! ext4 filesystems, judged by e2fsck, debugfs, dumpe2fs, resize2fs, mke2fs and the kernel.

mod compare;
mod corpus;
mod judge;

use compare::compare;
use diskwright_formats::units::{GIB, MIB};
use judge::Image;

#[test]
fn an_empty_tree_is_a_filesystem() {
    let tree = corpus::empty();
    let image = Image::of(&tree, 64 * MIB);
    image.assert_clean();
    compare(&tree, image.mount_ro().path());
}

#[test]
fn everything_the_kernel_reads_is_in_the_tree() {
    let tree = corpus::edges();
    let image = Image::of(&tree, GIB);
    image.assert_clean();
    compare(&tree, image.mount_ro().path());
}
