"""Changes a directory at random, the same for the same seed. Usage: mutate.py DIRECTORY SEED (as root)"""
import os, random, shutil, sys

root, seed = sys.argv[1], int(sys.argv[2])
rng = random.Random(seed)


def paths():
    found = []
    for here, dirs, files in os.walk(root):
        dirs.sort()
        found += [os.path.join(here, name) for name in sorted(dirs + files)]
    return found


def directories():
    return [root] + [path for path in paths() if os.path.isdir(path) and not os.path.islink(path)]


def remove(path):
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def make(path):
    kind = rng.randrange(8)
    if kind < 3:
        with open(path, "wb") as out:
            out.write(rng.randbytes(rng.choice([0, 1, 511, 512, 513, 5000])))
    elif kind < 5:
        os.mkdir(path)
    elif kind == 5:
        os.symlink(rng.choice(["nowhere", "/etc", "..", "a/b"]), path)
    elif kind == 6:
        os.mknod(path, rng.choice([0o010000, 0o020000, 0o060000]) | 0o600, os.makedev(rng.randrange(300), rng.randrange(300)))
    else:
        regular = [other for other in paths() if os.path.isfile(other) and not os.path.islink(other)]
        if not regular:
            return
        os.link(rng.choice(regular), path)
    if not os.path.islink(path):
        os.chmod(path, rng.randrange(0o10000) | (0o700 if os.path.isdir(path) else 0))


for step in range(60):
    found = paths()
    what = rng.randrange(10)
    if what < 5 or not found:
        name = rng.choice("abcdefghij") * rng.choice([1, 1, 2, 120])
        path = os.path.join(rng.choice(directories()), name)
        if len(path) < 2000:
            if os.path.lexists(path):
                remove(path)
            make(path)
    elif what < 7:
        remove(rng.choice(found))
    elif what == 7:
        path = rng.choice(found)
        os.chown(path, rng.randrange(5), rng.randrange(5), follow_symlinks=False)
    elif what == 8:
        path = rng.choice(found)
        # umoci does not see that a device's attributes changed.
        if os.path.isfile(path) and not os.path.islink(path):
            os.setxattr(path, "trusted.x", rng.randbytes(rng.randrange(1, 40)))
    else:
        os.utime(rng.choice(found), ns=(0, rng.randrange(-(10**18), 4 * 10**18)), follow_symlinks=False)

# umoci writes whole seconds.
for path in paths() + [root]:
    whole = os.lstat(path).st_mtime_ns // 10**9 * 10**9
    os.utime(path, ns=(whole, whole), follow_symlinks=False)
