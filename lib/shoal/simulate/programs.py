"""What programs write, load and call themselves: the catalogue behind files, libraries and clients.

In paths ``{user}`` is the account, ``{project}`` one of its projects, ``{word}`` a word and ``{n}``
eight hexadecimal digits.
"""

from shoal.simulate.fleet import number_of
from shoal.simulate.roles import ROLES

_HOME = "C:\\Users\\{user}\\"
_LOCAL = _HOME + "AppData\\Local\\"
_SOURCE = _HOME + "src\\{project}\\"
_BUILD = "/home/{user}/build/{project}/"
Paths = tuple[tuple[float, str], ...]

FILES: dict[str, Paths] = {
    "winword.exe": (
        (0.8, _HOME + "Documents\\{word}-{n}.docx"), (1.0, _LOCAL + "Temp\\~WRD{n}.tmp"),
    ),
    "excel.exe": ((0.8, _HOME + "Documents\\{word}-{n}.xlsx"), (0.8, _LOCAL + "Temp\\{n}.tmp")),
    "outlook.exe": ((1.2, _LOCAL + "Microsoft\\Windows\\INetCache\\Content.Outlook\\{word}.pdf"),),
    "chrome.exe": (
        (0.3, _HOME + "Downloads\\{word}-{n}.pdf"), (0.02, _HOME + "Downloads\\{word}_setup.exe"),
        (1.0, _LOCAL + "Google\\Chrome\\User Data\\Default\\Cache\\f_{n}"),
    ),
    "msedge.exe": (
        (0.3, _HOME + "Downloads\\{word}-{n}.pdf"),
        (1.0, _LOCAL + "Microsoft\\Edge\\User Data\\Default\\Cache\\f_{n}"),
    ),
    "teams.exe": ((1.0, _HOME + "AppData\\Roaming\\Microsoft\\Teams\\logs-{n}.txt"),),
    "acrord32.exe": ((0.5, _LOCAL + "Temp\\acrord32_{n}.tmp"),),
    "powershell.exe": ((0.9, _LOCAL + "Temp\\__PSScriptPolicyTest_{n}.ps1"),),
    "svchost.exe": ((0.6, "C:\\Windows\\Prefetch\\{word}.exe-{n}.pf"),),
    "mpcmdrun.exe": ((0.8, "C:\\ProgramData\\Microsoft\\Windows Defender\\Scans\\{n}.db"),),
    "agent.exe": ((1.0, "C:\\ProgramData\\Fleet Agent\\state-{n}.json"),),
    "msiexec.exe": ((2.0, "C:\\Windows\\Installer\\{n}.msi"), (3.0, "C:\\Windows\\Temp\\{n}.tmp")),
    "tiworker.exe": ((5.0, "C:\\Windows\\WinSxS\\Temp\\PendingRenames\\{n}.dll"),),
    "dism.exe": ((2.0, "C:\\Windows\\Logs\\DISM\\dism-{n}.log"),),
    "code.exe": ((2.0, _SOURCE + "{word}.py"), (1.0, _HOME + "AppData\\Roaming\\Code\\{n}.json")),
    "git.exe": ((0.5, _SOURCE + "{word}.py"), (0.5, _SOURCE + ".git\\objects\\{n}")),
    "node.exe": ((1.0, _SOURCE + "node_modules\\.cache\\{n}.json"), (0.5, _SOURCE + "{word}.js")),
    "cl.exe": ((2.0, _SOURCE + "build\\{word}.obj"), (0.2, _SOURCE + "build\\{project}.exe")),
    "gcc.exe": ((2.0, _SOURCE + "build\\{word}.o"), (0.1, _SOURCE + "build\\{project}.exe")),
    "python.exe": ((0.6, _SOURCE + "__pycache__\\{word}.pyc"),),
    "curl.exe": ((0.6, _HOME + "Downloads\\{word}.zip"),),
    "softphone.exe": ((1.0, _LOCAL + "Softphone\\call-{n}.log"),),
    "crm.exe": ((1.0, _LOCAL + "CRM\\Cache\\{n}.dat"),),
    "dfsrs.exe": ((4.0, "D:\\Shares\\Team\\{word}-{n}.docx"), (2.0, "D:\\Shares\\Team\\{n}.tmp")),
    "w3wp.exe": ((3.0, "C:\\inetpub\\logs\\LogFiles\\W3SVC1\\u_ex{n}.log"),),
    "edgetransport.exe": ((6.0, "C:\\ProgramData\\Mail\\Queue\\{n}.eml"),),
    "spoolsv.exe": ((5.0, "C:\\Windows\\System32\\spool\\PRINTERS\\{n}.spl"),),
    "printisolationhost.exe": ((1.0, "C:\\Windows\\System32\\spool\\PRINTERS\\{n}.shd"),),
    "backupd.exe": ((2.0, "E:\\Backup\\{n}.bkf"), (0.5, "E:\\Backup\\catalogue-{n}.xml")),
    "wsmprovhost.exe": ((1.0, "C:\\Windows\\Temp\\{n}.tmp"),),
    "logrotate": ((2.0, "/var/log/{word}.log.1.gz"),),
    "agent": ((1.0, "/var/lib/fleet/state-{n}.json"),),
    "nginx": ((1.0, "/var/cache/nginx/{n}"),),
    "php-fpm": ((1.5, "/tmp/sess_{n}"),),
    "certbot": ((0.3, "/var/lib/letsencrypt/{word}.pem"),),
    "runc": ((0.8, "/run/containerd/state/{n}{n}/config.json"),),
    "containerd-shim": ((0.5, "/var/lib/containerd/tmp/{n}.tar"),),
    "python3": ((0.5, "/tmp/tmp{n}"),),
    "java": ((0.8, "/tmp/hsperfdata/{n}"),),
    "postgres": ((0.6, "/var/lib/postgresql/16/base/pgsql_tmp/{n}"),),
    "pg_dump": ((1.0, "/var/backups/pg/{word}.dump"),),
    "gzip": ((0.8, "/var/backups/{word}-{n}.gz"),),
    "gcc": ((0.7, "/tmp/cc{n}.s"), (0.7, "/tmp/cc{n}.o")),
    "ld": ((0.3, _BUILD + "{word}.so"), (0.7, _BUILD + "{word}.out")),
    "git": ((1.0, _BUILD + "{word}.py"),),
    "npm": ((3.0, _BUILD + "node_modules/{word}.js"),),
    "docker": ((0.8, "/var/lib/docker/tmp/{n}"),),
    "curl": ((0.6, "/tmp/{word}-{n}.tgz"),),
    "aws": ((0.8, "/tmp/aws-{n}.part"),),
    "squid": ((4.0, "/var/spool/squid/00/{n}"),),
    "prometheus": ((5.0, "/var/lib/prometheus/wal/{n}"),),
    "openvpn": ((1.0, "/run/openvpn/{n}.status"),),
    "scp": ((1.0, "/home/{user}/{word}-{n}.tar.gz"),),
    "ansible": ((2.0, "/home/{user}/.ansible/tmp/{n}.py"),),
    "apt": ((2.0, "/var/cache/apt/archives/{word}-{n}.deb"),),
    "dpkg": ((3.0, "/usr/lib/x86_64-linux-gnu/lib{word}.so"),),
}  # fmt: skip
"""Mean number of files that a launch of a program creates, and where."""

INSTALLER = ((2.0, "C:\\Program Files\\{word}\\{n}.dll"), (1.5, _LOCAL + "Temp\\is-{n}.tmp"))
_INSTALLERS = ("setup", "is-", "update-", "office_setup", "vcredist", "agent_update")

_SYSTEM = "C:\\Windows\\System32\\"
LIBRARIES: dict[str, tuple[str, ...]] = {
    "powershell.exe": (
        "C:\\Windows\\assembly\\NativeImages\\System.Management.Automation.ni.dll",
        f"{_SYSTEM}amsi.dll",
    ),
    "winword.exe": ("C:\\Program Files\\Microsoft Office\\root\\Office16\\wwlib.dll",),
    "excel.exe": ("C:\\Program Files\\Microsoft Office\\root\\Office16\\oart.dll",),
    "outlook.exe": ("C:\\Program Files\\Microsoft Office\\root\\Office16\\olmapi32.dll",),
    "chrome.exe": ("C:\\Program Files\\Google\\Chrome\\Application\\chrome.dll",),
    "msedge.exe": ("C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.dll",),
    "rundll32.exe": (f"{_SYSTEM}shell32.dll", f"{_SYSTEM}printui.dll"),
    "svchost.exe": (f"{_SYSTEM}wuaueng.dll", f"{_SYSTEM}taskschd.dll"),
    "wmiprvse.exe": (f"{_SYSTEM}wbem\\cimwin32.dll",),
    "python.exe": ("C:\\Python311\\python311.dll",),
    "w3wp.exe": (f"{_SYSTEM}inetsrv\\w3core.dll",),
    "spoolsv.exe": (f"{_SYSTEM}localspl.dll",),
}
ANY_LIBRARY = (f"{_SYSTEM}winhttp.dll", f"{_SYSTEM}version.dll", f"{_SYSTEM}crypt32.dll")

_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
_AGENTS = {
    "chrome.exe": _BROWSER + "Chrome/{browser}.0.0.0 Safari/537.36",
    "msedge.exe": _BROWSER + "Chrome/{browser}.0.0.0 Safari/537.36 Edg/{browser}.0.0.0",
    "svchost.exe": "Microsoft-CryptoAPI/10.0",
    "powershell.exe": "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1",
    "apt": "Debian APT-HTTP/1.3 (2.6.1)",
    "python.exe": "python-requests/2.31.0",
    "python3": "python-requests/2.31.0",
    "curl": "curl/8.5.0",
    "curl.exe": "curl/8.5.0",
    "nginx": "-",
    "nc": "-",
    "prometheus": "Prometheus/2.48.0",
    "squid": _BROWSER + "Chrome/{browser}.0.0.0 Safari/537.36",
    "java": "Java/17.0.9",
    "node.exe": "node-fetch/1.0",
    "git.exe": "git/2.43.0",
    "git": "git/2.43.0",
}
WINRM_AGENT = "Microsoft WinRM Client"
BROWSERS = ("chrome.exe", "msedge.exe", "squid")

_TLS_OF = {
    "chrome.exe": "chromium", "msedge.exe": "chromium", "teams.exe": "chromium",
    "code.exe": "chromium", "firefox.exe": "nss", "java": "jsse", "java.exe": "jsse",
    "node.exe": "node", "npm": "node", "kubelet": "go", "containerd": "go", "docker": "go",
    "docker.exe": "go", "prometheus": "go", "runner": "go", "squid": "squid", "nginx": "openssl",
    "git.exe": "openssl", "python.exe": "python", "python3": "python", "aws": "python",
    "apt": "gnutls",
}  # fmt: skip
_CATALOGUE = frozenset(
    [launch.program for role in ROLES for launch in role.launches]
    + [talk.program for role in ROLES for talk in role.talks]
)
_TLS_OF_UNKNOWN = ("schannel", "schannel", "openssl", "go", "chromium")


def files_of(program: str) -> Paths:
    """What a launch of a program creates."""
    if program.startswith(_INSTALLERS) and program.endswith((".exe", ".tmp")):
        return INSTALLER
    return FILES.get(program, ())


def libraries_of(program: str) -> tuple[str, ...]:
    """What a program of Windows loads that is worth a record."""
    return LIBRARIES.get(program, ANY_LIBRARY)


def agent_of(program: str, browser: int) -> str:
    """What a program calls itself in web requests."""
    known = _AGENTS.get(program)
    if known is not None:
        return known.format(browser=browser)
    stem = program.removesuffix(".exe")
    return f"{stem}/{1 + number_of('version', program) % 9}.0"


def ja3_of(program: str) -> str:
    """Fingerprint of a program's TLS: that of the library it has it from."""
    library = _TLS_OF.get(program)
    if library is None and is_known(program):
        library = "schannel" if program.endswith(".exe") else "openssl"
    if library is None:
        library = _TLS_OF_UNKNOWN[number_of("tls", program) % len(_TLS_OF_UNKNOWN)]
    return ja3_like(library)


def ja3_like(library: str) -> str:
    """Fingerprint of a TLS library."""
    return f"{number_of('ja3', library):016x}{number_of('3aj', library):016x}"


def is_known(program: str) -> bool:
    """Whether the catalogue of roles has a program."""
    return program in _CATALOGUE
