"""Fields of Linux audit records: text in, text out; null where there is no such field.

What a program may choose itself (its name, its arguments) the kernel writes in quotes, or in
hexadecimal if it holds a quote, a blank, a control character or one beyond ASCII. So a quoted
value ends at the next quote, and no value can pass for a field of its own.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.sources import columns as c

UNIX = "0100"
"""Family of a local socket, as a little-endian machine writes it; so are those below."""
_INET = "0200"
_INET6 = "0A00"
_MAPPED = "0" * 20 + "FFFF"
"""Start of an address of IPv6 that stands for one of IPv4."""
_NO_VALUES = ("", "(null)", "(none)", "?")
_ARGUMENT = r'(?:^| )a\d+(?:\[\d+\])?=(?:"[^"]*"|[^ \x1d]*)'
_QUOTED = r'^"([^"]*)"$'
_HEX = "^[0-9A-Fa-f]+$"
_BLANK = "20"
_NO_HOSTS = ("", "var", "log", "audit")
_ARCHITECTURES = ("c000003e", "c00000b7", "40000003")
_SYSCALLS = """
execve 59 221 11, execveat 322 281 358, fork 57 - 2, vfork 58 - 190, clone 56 220 120,
clone3 435 435 435, exit_group 231 94 252, kill 62 129 37, tkill 200 130 238, tgkill 234 131 270,
ptrace 101 117 26, process_vm_readv 310 270 347, process_vm_writev 311 271 348,
pidfd_getfd 438 438 438, socket 41 198 359, connect 42 203 362, accept 43 202 -,
accept4 288 242 364, bind 49 200 361, listen 50 201 363, sendto 44 206 369, sendmsg 46 211 370,
recvfrom 45 207 371, recvmsg 47 212 372, setsockopt 54 208 366, read 0 63 3, write 1 64 4,
open 2 - 5, openat 257 56 295, openat2 437 437 437, creat 85 - 8, close 3 57 6, truncate 76 45 92,
ftruncate 77 46 93, fallocate 285 47 324, access 21 - 33, faccessat 269 48 307, stat 4 - 106,
newfstatat 262 79 -, readlink 89 - 85, readlinkat 267 78 305, name_to_handle_at 303 264 341,
open_by_handle_at 304 265 342, memfd_create 319 279 356, userfaultfd 323 282 374, unlink 87 - 10,
unlinkat 263 35 301, rename 82 - 38, renameat 264 38 302, renameat2 316 276 353, link 86 - 9,
linkat 265 37 303, symlink 88 - 83, symlinkat 266 36 304, mkdir 83 - 39, mkdirat 258 34 296,
rmdir 84 - 40, mknod 133 - 14, mknodat 259 33 297, chmod 90 - 15, fchmod 91 52 94,
fchmodat 268 53 306, chown 92 - 182, fchown 93 55 95, lchown 94 - 16, fchownat 260 54 298,
chdir 80 49 12, fchdir 81 50 133, utime 132 - 30, utimes 235 - 271, utimensat 280 88 320,
futimesat 261 - 299, setxattr 188 5 226, lsetxattr 189 6 227, fsetxattr 190 7 228,
removexattr 197 14 235, lremovexattr 198 15 236, fremovexattr 199 16 237, setuid 105 146 23,
setgid 106 144 46, setreuid 113 145 70, setregid 114 143 71, setresuid 117 147 164,
setresgid 119 149 170, setfsuid 122 151 138, setfsgid 123 152 139, setgroups 116 159 81,
capset 126 91 185, prctl 157 167 172, personality 135 92 136, mount 165 40 21, umount2 166 39 52,
move_mount 429 429 429, open_tree 428 428 428, fsopen 430 430 430, fsmount 432 432 432,
mount_setattr 442 442 442, pivot_root 155 41 217, chroot 161 51 61, unshare 272 97 310,
setns 308 268 346, swapon 167 224 87, swapoff 168 225 115, quotactl 179 60 131,
init_module 175 105 128, finit_module 313 273 350, delete_module 176 106 129,
kexec_load 246 104 283, kexec_file_load 320 294 -, bpf 321 280 357, perf_event_open 298 241 336,
add_key 248 217 286, request_key 249 218 287, keyctl 250 219 288, reboot 169 142 88,
acct 163 89 51, syslog 103 116 103, ioctl 16 29 54, fcntl 72 25 55, mmap 9 222 90,
mprotect 10 226 125, iopl 172 - 110, ioperm 173 - 101, modify_ldt 154 - 123, adjtimex 159 171 124,
settimeofday 164 170 79, clock_settime 227 112 264, clock_adjtime 305 266 343,
sethostname 170 161 74, setdomainname 171 162 121, io_uring_setup 425 425 425,
io_uring_enter 426 426 426,
socketcall - - 102
"""
"""Name of a system call and its numbers on x86_64, aarch64 and i386; Linux 6.1, unistd.h."""


def cell(body: Column, name: str) -> Column:
    """Value of a field as written; of an enriched record lower-case names are the raw ones."""
    value = F.regexp_extract(body, rf'(?:^|[ \x1d]){name}=("[^"]*"|[^ \x1d\']*)', 1)
    return F.when(~value.isin(*_NO_VALUES), value)


def text_of(value: Column) -> Column:
    """Text of a value in quotes, in hexadecimal, or bare as interpreted logs have it."""
    quoted = F.regexp_extract(value, _QUOTED, 1)
    return (
        F.when(F.startswith(value, F.lit('"')), F.when(quoted != "", quoted))
        .when(_is_hex(value), _decoded(value))
        .otherwise(value)
    )


def _is_hex(value: Column) -> Column:
    return value.rlike(_HEX) & (F.length(value) % 2 == 0)


def _decoded(digits: Column) -> Column:
    """Text of hexadecimal digits; NUL, which parts the words of proctitle, becomes a blank."""
    return F.translate(F.make_valid_utf8(F.unhex(digits).cast("string")), "\0", " ")


def arguments(bodies: Column) -> Column:
    """Command line of the EXECVE records of an event, whatever their order.

    A long argument is parted, ``a1[0]=… a1[1]=…``, and one character of it may be, too: the
    pieces are joined as bytes.
    """
    found = F.regexp_extract_all(F.array_join(bodies, " "), F.lit(_ARGUMENT), F.lit(0))
    pieces = F.transform(found, _piece)
    digits = F.array_join(F.transform(F.sort_array(pieces), lambda piece: piece["digits"]), "")
    return F.when(F.size(bodies) > 0, F.trim(_decoded(digits)))


def _piece(argument: Column) -> Column:
    """Place and digits of an argument or a piece of it; a new argument starts with a blank."""
    value = F.regexp_extract(argument, "^[^=]*=(.*)$", 1)
    quoted = F.regexp_extract(value, _QUOTED, 1)
    digits = F.when(_is_hex(value), value).otherwise(
        F.hex(F.when(F.startswith(value, F.lit('"')), quoted).otherwise(value))
    )
    place = F.coalesce(c.whole_number(F.regexp_extract(argument, r"^[^=]*\[(\d+)\]=", 1)), F.lit(0))
    return F.struct(
        c.whole_number(F.regexp_extract(argument, r"a(\d+)", 1)).alias("index"),
        place.alias("place"),
        F.when(place == 0, F.concat(F.lit(_BLANK), digits)).otherwise(digits).alias("digits"),
    )


def family(saddr: Column) -> Column:
    """First bytes of a socket's address, its family."""
    digits = F.upper(F.substring(saddr, 1, 4))
    return F.when(digits.rlike("^[0-9A-F]{4}$"), digits)


def is_internet(saddr: Column) -> Column:
    return family(saddr).isin(_INET, _INET6)


def socket_port(saddr: Column) -> Column:
    return F.when(is_internet(saddr), _number(saddr, 5, 4))


def socket_ip(saddr: Column) -> Column:
    """Address of a socket of IPv4 or IPv6; IPv4 mapped into IPv6 is IPv4."""
    is_mapped = F.upper(F.substring(saddr, 17, 24)) == _MAPPED
    groups = [F.substring(saddr, start, 4) for start in range(17, 49, 4)]
    ipv6 = F.when(is_mapped, _ipv4(saddr, 41)).otherwise(F.concat_ws(":", *groups))
    return F.when((family(saddr) == _INET) & saddr.rlike("^[0-9A-Fa-f]{16}"), _ipv4(saddr, 9)).when(
        (family(saddr) == _INET6) & saddr.rlike("^[0-9A-Fa-f]{48}"), ipv6
    )


def _ipv4(saddr: Column, start: int) -> Column:
    return F.concat_ws(".", *(_number(saddr, at, 2) for at in range(start, start + 8, 2)))


def _number(digits: Column, start: int, length: int) -> Column:
    """Number in some hexadecimal digits, as decimal text."""
    own = F.substring(digits, start, length)
    return F.when(own.rlike(_HEX), F.conv(own, 16, 10))


def syscall_name(body: Column) -> Column:
    """Name of a SYSCALL record's call: the enriched one, or by the machine's numbers.

    A number that is not known is ``syscall-<number>``.
    """
    enriched = F.regexp_extract(body, r"(?:^|[ \x1d])SYSCALL=([a-z0-9_]+)(?: |$)", 1)
    number = cell(body, "syscall")
    key = F.concat_ws(" ", F.lower(cell(body, "arch")), number)
    unknown = F.when(number.rlike(r"^\d+$"), F.concat(F.lit("syscall-"), number)).otherwise(number)
    return F.coalesce(F.when(enriched != "", enriched), _names()[key], unknown)


def _names() -> Column:
    """Map of architecture and number to the name of the call."""
    pairs = []
    for entry in _SYSCALLS.split(","):
        name, *numbers = entry.split()
        for architecture, number in zip(_ARCHITECTURES, numbers, strict=True):
            if number != "-":
                pairs += [F.lit(f"{architecture} {number}"), F.lit(name)]
    return F.create_map(*pairs)


def folder_host(source_file: Column) -> Column:
    """Name of the folder that a file lies in, without those that every machine has."""
    folders = F.split(F.regexp_replace(source_file, "/[^/]*$", ""), "/")
    names = F.filter(folders, lambda name: ~name.isin(*_NO_HOSTS) & ~F.endswith(name, F.lit(":")))
    return F.try_element_at(names, F.lit(-1))
