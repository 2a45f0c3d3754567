# Answers "MODE HEXPATH" lines with libselinux's label of the path, "-" for
# none. By ctypes, since the Python binding takes no options. Usage: lookup.py FILE_CONTEXTS
import ctypes, errno, sys


class Option(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("value", ctypes.c_char_p)]


SELABEL_CTX_FILE, SELABEL_OPT_PATH = 0, 3
lib = ctypes.CDLL("libselinux.so.1", use_errno=True)
lib.selabel_open.restype = ctypes.c_void_p
options = (Option * 1)(Option(SELABEL_OPT_PATH, sys.argv[1].encode()))
handle = lib.selabel_open(SELABEL_CTX_FILE, options, 1)
if not handle:
    sys.exit("selabel_open: " + errno.errorcode[ctypes.get_errno()])
for line in sys.stdin:
    mode, path = line.split(" ")
    label = ctypes.c_char_p()
    found = lib.selabel_lookup_raw(ctypes.c_void_p(handle), ctypes.byref(label), bytes.fromhex(path), int(mode))
    if found != 0 and ctypes.get_errno() != errno.ENOENT:
        sys.exit(f"{bytes.fromhex(path)}: " + errno.errorcode[ctypes.get_errno()])
    print(label.value.decode() if found == 0 else "-")
