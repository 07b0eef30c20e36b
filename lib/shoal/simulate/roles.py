"""Twenty kinds of machines, and what each does all day: the catalogue that a fleet is made of.

Counts are means of a working day of one machine. Nothing here is drawn by chance; see
:mod:`shoal.simulate.behaviour` for what is.
"""

from dataclasses import dataclass
from typing import Literal

Account = Literal["user", "service", "system"]
Hours = Literal["office", "flat", "business", "night", "shifts"]

WINDOWS_SYSTEM = "C:\\Windows\\System32\\"
_PATHS = {
    "explorer.exe": "C:\\Windows\\explorer.exe",
    "powershell.exe": f"{WINDOWS_SYSTEM}WindowsPowerShell\\v1.0\\powershell.exe",
    "wmiprvse.exe": f"{WINDOWS_SYSTEM}wbem\\WmiPrvSE.exe",
    "chrome.exe": "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    "msedge.exe": "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
    "outlook.exe": "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
    "winword.exe": "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
    "excel.exe": "C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE",
    "teams.exe": "C:\\Program Files\\Teams\\Teams.exe",
    "onedrive.exe": "C:\\Program Files\\Microsoft OneDrive\\OneDrive.exe",
    "agent.exe": "C:\\Program Files\\Fleet Agent\\agent.exe",
    "code.exe": "C:\\Program Files\\Microsoft VS Code\\Code.exe",
    "git.exe": "C:\\Program Files\\Git\\cmd\\git.exe",
    "node.exe": "C:\\Program Files\\nodejs\\node.exe",
    "python.exe": "C:\\Python311\\python.exe",
    "java.exe": "C:\\Program Files\\Java\\bin\\java.exe",
    "w3wp.exe": f"{WINDOWS_SYSTEM}inetsrv\\w3wp.exe",
    "sqlservr.exe": "C:\\Program Files\\Microsoft SQL Server\\MSSQL\\Binn\\sqlservr.exe",
    "softphone.exe": "C:\\Program Files\\Softphone\\softphone.exe",
    "crm.exe": "C:\\Program Files\\CRM\\crm.exe",
    "backupd.exe": "C:\\Program Files\\Backup\\backupd.exe",
    "agent": "/opt/fleet/bin/agent",
    "runner": "/opt/runner/bin/runner",
    "kubelet": "/usr/local/bin/kubelet",
}


def path_of(program: str) -> str:
    """Full path of a program by its name; what the catalogue does not know lies where most do."""
    known = _PATHS.get(program)
    if known is not None:
        return known
    if program.startswith(("/", "C:\\")):
        return program
    return f"{WINDOWS_SYSTEM}{program}" if program.endswith(".exe") else f"/usr/bin/{program}"


@dataclass(frozen=True)
class Launch:
    """A program that a machine starts.

    Attributes
    ----------
    mean : launches a day
    account : who runs it
    share : share of the role's machines that have it
    """

    program: str
    parent: str
    mean: float
    account: Account = "system"
    share: float = 1.0


@dataclass(frozen=True)
class Talk:
    """Connections that a program of a machine makes, or takes.

    Attributes
    ----------
    peers : a role, whose machines are talked to; ``web``, what people look at; or a name of
        its own for a few fixed addresses of an outside service
    mean : connections a day
    out, into : median payload of a connection, bytes
    seconds : median duration
    is_periodic : by the clock all day, as an agent's heartbeat is
    """

    program: str
    peers: str
    port: int
    mean: float
    out: float = 1_500.0
    into: float = 8_000.0
    seconds: float = 1.0
    service: str = "ssl"
    transport: str = "tcp"
    account: Account = "system"
    is_inbound: bool = False
    is_periodic: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Role:
    """One kind of machine.

    Attributes
    ----------
    code : its part of a host's name
    hours : when it is busy, in its site's own time
    weekend : activity of a weekend day over that of a working day
    oddities : mean number of one-off programs a day, that nobody else has: installers,
        unpacked helpers, test builds
    users : people who work on a machine; 0 for a server
    """

    name: str
    code: str
    hours: Hours
    weekend: float
    launches: tuple[Launch, ...]
    talks: tuple[Talk, ...]
    is_windows: bool = True
    oddities: float = 0.0
    users: int = 0


_WINDOWS_BASE = (
    Launch("svchost.exe", "services.exe", 5),
    Launch("taskhostw.exe", "svchost.exe", 2),
    Launch("wmiprvse.exe", "svchost.exe", 1.5),
    Launch("conhost.exe", "agent.exe", 2),
    Launch("agent.exe", "services.exe", 1),
    Launch("mpcmdrun.exe", "svchost.exe", 0.7, share=0.8),
    Launch("backgroundtaskhost.exe", "svchost.exe", 1.2, share=0.6),
)
_WINDOWS_TALKS = (
    Talk("svchost.exe", "domain_controller", 53, 4, 60, 180, 0.02, "dns", "udp"),
    Talk("lsass.exe", "domain_controller", 88, 2, 1_400, 1_500, 0.05, "krb_tcp"),
    Talk("agent.exe", "fleet_cloud", 443, 26, 3_000, 900, 0.4, is_periodic=True),
    Talk("svchost.exe", "updates", 443, 2, 2_000, 60_000, 3),
)
_LINUX_BASE = (
    Launch("sh", "cron", 5),
    Launch("logrotate", "sh", 1),
    Launch("run-parts", "sh", 3),
    Launch("agent", "systemd", 1),
    Launch("df", "agent", 4),
    Launch("sshd", "sshd", 1.5, share=0.7),
)
_LINUX_TALKS = (
    Talk("systemd-resolved", "domain_controller", 53, 4, 60, 180, 0.02, "dns", "udp"),
    Talk("agent", "fleet_cloud", 443, 26, 3_000, 900, 0.4, is_periodic=True),
    Talk("apt", "mirror", 443, 1, 1_500, 400_000, 4),
)


def _office_like(scale: float) -> tuple[tuple[Launch, ...], tuple[Talk, ...]]:
    launches = (
        Launch("chrome.exe", "explorer.exe", 6 * scale, "user", 0.8),
        Launch("msedge.exe", "explorer.exe", 3 * scale, "user", 0.6),
        Launch("outlook.exe", "explorer.exe", 2 * scale, "user"),
        Launch("winword.exe", "explorer.exe", 3 * scale, "user", 0.9),
        Launch("excel.exe", "explorer.exe", 3 * scale, "user", 0.8),
        Launch("teams.exe", "explorer.exe", 1 * scale, "user"),
        Launch("acrord32.exe", "outlook.exe", 1 * scale, "user", 0.5),
        Launch("cmd.exe", "explorer.exe", 0.15, "user", 0.3),
        Launch("powershell.exe", "svchost.exe", 0.4, "system", 0.5),
        Launch("rundll32.exe", "explorer.exe", 0.4, "user", 0.6),
    )
    talks = (
        Talk("chrome.exe", "web", 443, 16 * scale, 2_500, 40_000, 8, account="user", share=0.9),
        Talk("msedge.exe", "web", 443, 7 * scale, 2_500, 40_000, 8, account="user", share=0.6),
        Talk("outlook.exe", "mail_server", 443, 7 * scale, 6_000, 20_000, 60, account="user"),
        Talk("teams.exe", "meetings", 443, 5 * scale, 50_000, 90_000, 90, account="user"),
        Talk("onedrive.exe", "office_cloud", 443, 4 * scale, 30_000, 9_000, 4, account="user"),
        Talk("explorer.exe", "file_server", 445, 3 * scale, 8_000, 90_000, 30, "smb",
             account="user", share=0.8),
        Talk("spoolsv.exe", "print_server", 9100, 1 * scale, 200_000, 300, 3, "-", share=0.6),
    )  # fmt: skip
    return launches, talks


_OFFICE, _OFFICE_TALKS = _office_like(1.0)
_SOME_OFFICE, _SOME_OFFICE_TALKS = _office_like(0.5)

ROLES: tuple[Role, ...] = (
    Role("office_workstation", "pc", "office", 0.12,
         (*_WINDOWS_BASE, *_OFFICE), (*_WINDOWS_TALKS, *_OFFICE_TALKS),
         oddities=0.35, users=1),
    Role("developer_workstation", "dev", "office", 0.25,
         (*_WINDOWS_BASE, *_SOME_OFFICE,
          Launch("code.exe", "explorer.exe", 3, "user", 0.9),
          Launch("git.exe", "code.exe", 14, "user"),
          Launch("node.exe", "code.exe", 6, "user", 0.7),
          Launch("python.exe", "cmd.exe", 5, "user", 0.7),
          Launch("cmd.exe", "code.exe", 8, "user"),
          Launch("cl.exe", "cmd.exe", 6, "user", 0.5),
          Launch("gcc.exe", "make.exe", 6, "user", 0.4),
          Launch("make.exe", "bash.exe", 2, "user", 0.4),
          Launch("powershell.exe", "code.exe", 3, "user", 0.6),
          Launch("docker.exe", "cmd.exe", 3, "user", 0.5),
          Launch("curl.exe", "cmd.exe", 1, "user", 0.5),
          Launch("ssh.exe", "cmd.exe", 1.5, "user", 0.6)),
         (*_WINDOWS_TALKS, *_SOME_OFFICE_TALKS,
          Talk("git.exe", "forge", 443, 9, 4_000, 60_000, 2, account="user"),
          Talk("node.exe", "packages", 443, 8, 1_500, 200_000, 2, account="user", share=0.7),
          Talk("ssh.exe", "jump_host", 22, 2, 8_000, 20_000, 300, "ssh", account="user", share=0.6),
          Talk("docker.exe", "packages", 443, 2, 2_000, 4e6, 20, account="user", share=0.5),
          Talk("python.exe", "web", 443, 3, 2_000, 30_000, 2, account="user", share=0.5),
          Talk("code.exe", "database", 5432, 1.5, 4_000, 60_000, 30, "-", account="user",
               share=0.4)),
         oddities=2.0, users=1),
    Role("web_server", "web", "business", 0.7,
         (*_LINUX_BASE,
          Launch("nginx", "systemd", 1, "service"),
          Launch("php-fpm", "systemd", 4, "service"),
          Launch("certbot", "sh", 0.6),
          Launch("bash", "sshd", 0.4, "user", 0.6)),
         (*_LINUX_TALKS,
          Talk("nginx", "delivery_network", 443, 20, 900, 30_000, 2, account="service",
               is_inbound=True),
          Talk("nginx", "application_server", 8080, 14, 2_000, 12_000, 0.3, "http",
               account="service"),
          Talk("php-fpm", "database", 5432, 12, 1_500, 9_000, 0.2, "-", account="service")),
         is_windows=False),
    Role("container_node", "node", "flat", 0.85,
         (*_LINUX_BASE,
          Launch("runc", "containerd-shim", 14, "system"),
          Launch("containerd-shim", "containerd", 10, "system"),
          Launch("iptables", "kube-proxy", 8, "system"),
          Launch("pause", "containerd-shim", 5, "service"),
          Launch("python3", "containerd-shim", 6, "service", 0.8),
          Launch("java", "containerd-shim", 3, "service", 0.6)),
         (*_LINUX_TALKS,
          Talk("kubelet", "container_node", 10250, 12, 2_000, 5_000, 1),
          Talk("containerd", "registry", 443, 4, 1_500, 6e6, 15),
          Talk("python3", "database", 5432, 12, 1_500, 8_000, 0.3, "-", account="service"),
          Talk("java", "queue", 9092, 9, 9_000, 4_000, 30, "-", account="service", share=0.6)),
         is_windows=False),
    Role("application_server", "app", "business", 0.6,
         (*_LINUX_BASE,
          Launch("java", "systemd", 2, "service"),
          Launch("jstat", "agent", 6, "service", 0.7),
          Launch("bash", "java", 1.5, "service", 0.5),
          Launch("bash", "sshd", 0.3, "user", 0.5)),
         (*_LINUX_TALKS,
          Talk("java", "database", 5432, 18, 1_800, 12_000, 0.2, "-", account="service"),
          Talk("java", "queue", 9092, 10, 7_000, 3_000, 30, "-", account="service"),
          Talk("java", "web_server", 8080, 12, 1_500, 9_000, 0.3, "http", account="service",
               is_inbound=True),
          Talk("java", "payments", 443, 6, 2_500, 4_000, 0.6, account="service", share=0.7)),
         is_windows=False),
    Role("database", "db", "business", 0.6,
         (*_LINUX_BASE,
          Launch("postgres", "postgres", 18, "service"),
          Launch("pg_dump", "sh", 1, "service"),
          Launch("gzip", "sh", 1.5, "service"),
          Launch("psql", "bash", 0.5, "user", 0.4)),
         (*_LINUX_TALKS,
          Talk("postgres", "application_server", 5432, 14, 9_000, 1_500, 3, "-",
               account="service", is_inbound=True),
          Talk("postgres", "database", 5432, 6, 90_000, 2_000, 600, "-", account="service"),
          Talk("pg_dump", "backup_server", 873, 1, 4e8, 5_000, 600, "-", account="service")),
         is_windows=False),
    Role("build_runner", "ci", "office", 0.3,
         (*_LINUX_BASE,
          Launch("bash", "runner", 22, "service"),
          Launch("git", "bash", 14, "service"),
          Launch("gcc", "make", 26, "service"),
          Launch("make", "bash", 8, "service"),
          Launch("ld", "gcc", 12, "service"),
          Launch("docker", "bash", 8, "service"),
          Launch("python3", "bash", 8, "service"),
          Launch("npm", "bash", 6, "service", 0.8),
          Launch("curl", "bash", 3, "service")),
         (*_LINUX_TALKS,
          Talk("git", "forge", 443, 16, 3_000, 900_000, 4, account="service"),
          Talk("npm", "packages", 443, 14, 1_500, 700_000, 3, account="service", share=0.8),
          Talk("docker", "registry", 443, 9, 5e6, 9e6, 20, account="service"),
          Talk("curl", "packages", 443, 4, 900, 1e6, 3, account="service"),
          Talk("runner", "forge", 443, 12, 4_000, 4_000, 50, account="service")),
         is_windows=False, oddities=1.5),
    Role("file_server", "fs", "business", 0.3,
         (*_WINDOWS_BASE,
          Launch("dfsrs.exe", "services.exe", 1.5),
          Launch("vssadmin.exe", "svchost.exe", 1),
          Launch("powershell.exe", "svchost.exe", 2, "service")),
         (*_WINDOWS_TALKS,
          Talk("system", "office_workstation", 445, 22, 40_000, 90_000, 120, "smb",
               is_inbound=True),
          Talk("dfsrs.exe", "file_server", 5722, 5, 9e5, 9e5, 60, "-"),
          Talk("system", "backup_server", 445, 2, 3e7, 1e5, 400, "smb"))),
    Role("call_center", "call", "shifts", 0.6,
         (*_WINDOWS_BASE,
          Launch("softphone.exe", "explorer.exe", 3, "user"),
          Launch("crm.exe", "explorer.exe", 4, "user"),
          Launch("msedge.exe", "crm.exe", 8, "user")),
         (*_WINDOWS_TALKS,
          Talk("softphone.exe", "telephony", 5061, 14, 3e5, 3e5, 180, "sip", account="user"),
          Talk("crm.exe", "crm_cloud", 443, 14, 4_000, 30_000, 2, account="user"),
          Talk("msedge.exe", "web", 443, 4, 2_000, 30_000, 5, account="user", share=0.5)),
         oddities=0.1, users=1),
    Role("batch_worker", "job", "night", 1.0,
         (*_LINUX_BASE,
          Launch("python3", "airflow", 25, "service"),
          Launch("java", "python3", 6, "service", 0.7),
          Launch("gzip", "python3", 8, "service"),
          Launch("aws", "python3", 5, "service", 0.8)),
         (*_LINUX_TALKS,
          Talk("python3", "database", 5432, 25, 3_000, 2e5, 8, "-", account="service"),
          Talk("aws", "object_store", 443, 14, 5e6, 2e5, 10, account="service", share=0.8)),
         is_windows=False),
    Role("vdi_host", "vdi", "office", 0.15,
         (*_WINDOWS_BASE, *_OFFICE, *_SOME_OFFICE,
          Launch("rdpclip.exe", "svchost.exe", 6, "user"),
          Launch("userinit.exe", "winlogon.exe", 6, "user")),
         (*_WINDOWS_TALKS, *_OFFICE_TALKS, *_SOME_OFFICE_TALKS),
         oddities=0.7, users=8),
    Role("data_science", "ds", "office", 0.35,
         (*_LINUX_BASE,
          Launch("python3", "jupyter", 16, "user"),
          Launch("bash", "sshd", 4, "user"),
          Launch("nvidia-smi", "bash", 5, "user", 0.8),
          Launch("gcc", "python3", 2, "user", 0.5),
          Launch("git", "bash", 4, "user")),
         (*_LINUX_TALKS,
          Talk("python3", "object_store", 443, 12, 60_000, 5e6, 10, account="user"),
          Talk("python3", "packages", 443, 6, 1_500, 9e5, 3, account="user"),
          Talk("python3", "web", 443, 6, 2_000, 90_000, 4, account="user", share=0.8),
          Talk("git", "forge", 443, 4, 3_000, 90_000, 3, account="user")),
         is_windows=False, oddities=1.0, users=2),
    Role("domain_controller", "dc", "business", 0.4,
         (*_WINDOWS_BASE,
          Launch("dfsrs.exe", "services.exe", 1.5),
          Launch("w32tm.exe", "svchost.exe", 3),
          Launch("mmc.exe", "explorer.exe", 0.4, "user", 0.6)),
         (*_WINDOWS_TALKS,
          Talk("dns.exe", "clients", 53, 25, 180, 60, 0.02, "dns", "udp", is_inbound=True),
          Talk("lsass.exe", "clients", 88, 20, 1_500, 1_400, 0.05, "krb_tcp", is_inbound=True),
          Talk("lsass.exe", "domain_controller", 389, 12, 9_000, 9_000, 5, "ldap_tcp"),
          Talk("dns.exe", "resolver", 53, 15, 70, 200, 0.03, "dns", "udp"))),
    Role("mail_server", "mx", "business", 0.35,
         (*_WINDOWS_BASE,
          Launch("w3wp.exe", "svchost.exe", 5, "service"),
          Launch("edgetransport.exe", "services.exe", 2, "service"),
          Launch("powershell.exe", "w3wp.exe", 3, "service")),
         (*_WINDOWS_TALKS,
          Talk("w3wp.exe", "clients", 443, 25, 20_000, 6_000, 60, account="service",
               is_inbound=True),
          Talk("edgetransport.exe", "mail_relays", 25, 24, 90_000, 1_500, 3, "smtp",
               account="service"))),
    Role("monitoring", "mon", "flat", 1.0,
         (*_LINUX_BASE,
          Launch("prometheus", "systemd", 1, "service"),
          Launch("alertmanager", "systemd", 1, "service"),
          Launch("python3", "systemd", 10, "service")),
         (*_LINUX_TALKS,
          Talk("prometheus", "clients", 9100, 40, 500, 30_000, 0.3, "http", account="service"),
          Talk("python3", "chat_cloud", 443, 6, 2_000, 1_500, 0.6, account="service")),
         is_windows=False),
    Role("proxy", "px", "business", 0.3,
         (*_LINUX_BASE,
          Launch("squid", "systemd", 2, "service"),
          Launch("squidclient", "sh", 4, "service")),
         (*_LINUX_TALKS,
          Talk("squid", "clients", 3128, 25, 3_000, 50_000, 10, "http", account="service",
               is_inbound=True),
          Talk("squid", "web", 443, 60, 3_000, 50_000, 10, account="service")),
         is_windows=False),
    Role("jump_host", "jump", "office", 0.3,
         (*_LINUX_BASE,
          Launch("bash", "sshd", 14, "user"),
          Launch("ssh", "bash", 16, "user"),
          Launch("scp", "bash", 2, "user", 0.7),
          Launch("ansible", "bash", 1.5, "user", 0.6)),
         (*_LINUX_TALKS,
          Talk("ssh", "servers", 22, 28, 9_000, 30_000, 200, "ssh", account="user")),
         is_windows=False, users=6),
    Role("print_server", "prn", "office", 0.1,
         (*_WINDOWS_BASE,
          Launch("spoolsv.exe", "services.exe", 1.5),
          Launch("printisolationhost.exe", "svchost.exe", 9)),
         (*_WINDOWS_TALKS,
          Talk("spoolsv.exe", "printers", 9100, 28, 3e5, 500, 4, "-"),
          Talk("spoolsv.exe", "office_workstation", 445, 20, 2e5, 900, 3, "smb",
               is_inbound=True))),
    Role("backup_server", "bak", "night", 1.0,
         (*_WINDOWS_BASE,
          Launch("backupd.exe", "services.exe", 10, "service"),
          Launch("vssadmin.exe", "backupd.exe", 8, "service")),
         (*_WINDOWS_TALKS,
          Talk("backupd.exe", "servers", 445, 40, 9_000, 3e8, 900, "smb", account="service"),
          Talk("backupd.exe", "object_store", 443, 12, 6e8, 9_000, 900, account="service"))),
    Role("vpn_gateway", "vpn", "office", 0.4,
         (*_LINUX_BASE,
          Launch("openvpn", "systemd", 2, "service"),
          Launch("ip", "openvpn", 20, "service")),
         (*_LINUX_TALKS,
          Talk("openvpn", "homes", 1194, 40, 2e6, 4e6, 3_600, "-", "udp", account="service",
               is_inbound=True),
          Talk("openvpn", "domain_controller", 389, 20, 2_000, 3_000, 0.2, "ldap_tcp",
               account="service")),
         is_windows=False),
)  # fmt: skip
"""By falling number of machines: the sizes follow Zipf's law."""

ROLE_BY_NAME = {role.name: role for role in ROLES}
CLIENT_ROLES = ("office_workstation", "developer_workstation", "call_center", "vdi_host")
SERVER_ROLES = ("web_server", "application_server", "database", "file_server", "batch_worker")
