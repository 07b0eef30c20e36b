"""A small day with every kind of event: all features by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.spark.test_features_step import DAY, columns_of, events_of, features_of
from tests.support.address_databases import write_databases

from shoal.contracts.activity import HORIZONS, WINDOWED_DIMENSIONS
from shoal.contracts.features import FEATURE_NAMES
from shoal.features.activity import aggregate_activity
from shoal.features.text import text_entropy_bits

NOON = 12 * 3600
ENCODED = "powershell -enc QUJDREVGR0hJSktMTU5P"
EVENTS: dict[str, list[dict[str, Any]]] = {
    "process": [
        # An interpreter with an encoded command, from where the system has it.
        {
            "s": 0, "process_name": "powershell.exe", "process_parent_name": "cmd.exe",
            "process_path": r"C:\Windows\System32\powershell.exe",
            "process_original_name": "powershell.exe", "is_signed": True,
            "process_command_line": ENCODED,
        },
        # A system tool under another name, without a signature, from a user's folder.
        {
            "s": 60, "process_name": "svc.exe", "process_parent_name": "powershell.exe",
            "process_path": r"C:\Users\ann\AppData\svc.exe",
            "process_original_name": "certutil.exe", "is_signed": False,
            "process_command_line": "aabb",
        },
        {"s": 61, "event_action": "scheduled", "task_name": r"\Updates\Go"},
    ],
    "network": [
        {
            "s": NOON, "process_name": "svc.exe", "source_ip": "10.0.0.9",
            "destination_ip": "203.0.113.7", "destination_port": 4444,
            "network_transport": "tcp", "network_direction": "outbound",
            "bytes_out": 300, "bytes_in": 100, "packets_out": 3, "packets_in": 1,
            "duration_us": 2_000_000,
        },
        {
            "s": NOON + 4, "process_name": "sshd", "source_ip": "10.0.0.1",
            "destination_ip": "10.0.0.9", "destination_port": 22, "network_transport": "tcp",
            "network_direction": "inbound", "is_failed": True,
        },
        {
            "s": NOON + 5, "event_action": "listening", "destination_port": 4444,
            "network_transport": "tcp",
        },
    ],
    "auth": [
        {"s": NOON, "logon_type": 10, "source_ip": "10.0.0.1", "is_failed": True},
        {"s": NOON, "logon_type": 2, "is_failed": False, "auth_package": "ntlm"},
        {"s": NOON, "event_action": "privileged"},
        {"s": NOON, "event_action": "explicit", "target_host_name": "files"},
        {"s": NOON, "event_action": "logged_off"},
    ],
    "file": [
        {"file_path": r"C:\Temp\a.exe", "file_name": "a.exe", "process_name": "svc.exe"},
        {"file_path": r"C:\Temp\b.ps1", "file_name": "b.ps1", "process_name": "svc.exe"},
        {"event_action": "loaded", "file_path": r"C:\Temp\x.dll", "file_name": "x.dll",
         "is_signed": False},
        {"event_action": "shared", "file_path": r"\\*\ADMIN$"},
        {"event_action": "transferred", "file_mime_type": "application/x-dosexec"},
    ],
    "dns": [
        {"dns_question_name": "a.example.co.uk", "dns_question_type": "txt"},
        {"dns_question_name": "b.example.co.uk", "dns_question_type": "a"},
        {"dns_question_name": "aabb", "dns_question_type": "a", "is_failed": True},
    ],
    "web": [
        {"url_domain": "www.example.com", "url_path": "/aabb", "user_agent_original": "curl/8",
         "destination_ip": "203.0.113.7", "is_failed": True, "bytes_in": 50},
    ],
    "tls": [{"tls_client_ja3": "abc"}],
    "email": [
        {"email_sender": "a@mail.example.org", "email_reply_to": "b@example.net",
         "url_domain": "link.example.xyz", "url_path": "/aabb"},
        {"email_sender": "a@mail.example.org"},
    ],
    "package": [
        {"package_name": "bash"},
        {"event_action": "installed", "package_name": "nmap"},
        {"event_action": "removed", "package_name": "auditd"},
    ],
    "syscall": [{"syscall_name": "ptrace", "is_failed": True}, {"syscall_name": "ptrace"}],
}  # fmt: skip


COUNTS = {
    "event": 28, "process": 2, "process_scheduled": 1, "network": 2, "network_listening": 1,
    "auth": 2, "auth_logged_off": 1, "auth_explicit": 1, "auth_privileged": 1, "file": 2,
    "file_loaded": 1, "file_shared": 1, "file_transferred": 1, "dns": 3, "web": 1, "tls": 1,
    "email": 2, "package": 1, "package_installed": 1, "package_removed": 1, "syscall": 2,
}  # fmt: skip
FLAGS = {
    "interpreter": 2, "unusual_path": 2, "renamed": 2, "unsigned": 2, "encoded_command": 2,
    "inbound": 2, "uncommon_port": 2, "remote_logon": 2, "executable_write": 2, "script_write": 2,
    "unsigned_library": 1, "executable_transfer": 1, "text_query": 3, "unnamed_server": 1,
    "reply_elsewhere": 2, "linked": 2,
}  # fmt: skip
"""Every flag is raised once; of how many events."""
DISTINCT = {
    "program": 3, "parent_child": 2, "folder": 2, "task": 1, "user": 1, "logon_source": 1,
    "target_host": 1, "peer_address": 2, "peer_network": 2, "port": 2, "program_port": 2,
    "peer_owner": 1, "peer_country": 1,
    "program_network": 2, "listening_port": 1, "file_folder": 1, "library": 1, "share": 1,
    "domain": 2, "web_domain": 1, "user_agent": 1, "tls_client": 1, "sender_domain": 1,
    "link_domain": 1, "package": 2, "syscall": 1,
}  # fmt: skip
ENTROPY_OF_AABB = 1.0
ENTROPY_OF_PATH = 1.522  # of /aabb: once 1/5, twice 2/5
ENTROPIES_OF_NAMES = text_entropy_bits("a.example.co.uk") + text_entropy_bits("b.example.co.uk")
CIRCLE = (20 - 8) / 28  # events of hour 0 less those of hour 12, which lies opposite
FEATURES: dict[str, float] = {
    **{f"{name}_count": count for name, count in COUNTS.items()},
    **{f"{name}_share": count / 28 for name, count in COUNTS.items() if name != "event"},
    **{f"{name}_count": 1 for name in FLAGS},
    **{f"{name}_share": 1 / of for name, of in FLAGS.items()},
    **{f"{name}_distinct": count for name, count in DISTINCT.items()},
    # Alone, it is all of its peers: what it shows all show, so nothing is a surprise, but rare.
    **{f"rare_{name}_count": count for name, count in DISTINCT.items()},
    "logon_failed_count": 1, "logon_failed_share": 1 / 2, "network_failed_share": 1 / 2,
    "dns_failed_share": 1 / 3, "web_failed_share": 1, "syscall_failed_share": 1 / 2,
    "bytes_out_sum": 300, "bytes_in_sum": 100, "bytes_out_share": 3 / 4, "packet_sum": 4,
    "packet_bytes_mean": 100, "duration_mean_s": 2,
    "active_hours": 2, "hour_top_share": 20 / 28,
    "hour_cos": CIRCLE * math.cos(math.pi / 24), "hour_sin": CIRCLE * math.sin(math.pi / 24),
    "command_line_length_mean": (36 + 4) / 2,
    "command_line_entropy_mean": (text_entropy_bits(ENCODED) + ENTROPY_OF_AABB) / 2,
    "dns_name_length_mean": (15 + 15 + 4) / 3,
    "dns_name_entropy_mean": (ENTROPIES_OF_NAMES + ENTROPY_OF_AABB) / 3,
    "url_path_length_mean": 5, "url_path_entropy_mean": ENTROPY_OF_PATH,
    "link_path_length_mean": 5, "link_path_entropy_mean": ENTROPY_OF_PATH,
    "external_peer_share": 1 / 2, "program_top_share": 4 / 6, "peer_address_top_share": 1 / 2,
    "port_top_share": 1 / 2, "domain_top_share": 2 / 3, "syscall_top_share": 1,
    # Of all weeks there is this day alone.
    **{f"active_days_{n}d": 1 for n in HORIZONS},
    **{f"event_count_mean_{n}d": 28 for n in HORIZONS},
    **{f"bytes_out_mean_{n}d": 300 for n in HORIZONS},
    **{f"{name}_distinct_{n}d": DISTINCT[name] for name in WINDOWED_DIMENSIONS for n in HORIZONS},
}  # fmt: skip


def test_every_feature_of_a_small_day(spark: SparkSession, tmp_path: Path) -> None:
    events = {table: events_of(spark, table, rows) for table, rows in EVENTS.items()}
    databases = write_databases(tmp_path)
    activity = aggregate_activity(
        events, entity_columns=columns_of("host"), address_databases=databases
    )
    [row] = features_of(activity, [DAY], address_databases=databases).collect()
    found = {name: row[name] for name in FEATURE_NAMES}
    # Without a past nothing can be new: not known, which is another thing than none.
    of_past = {
        name
        for name in FEATURE_NAMES
        if name.startswith(("new_", "peer_new_", "fleet_new_", "missing_", "lost_"))
        or name == "rare_day_value_count"
        or "_change_" in name
        # Users travel, hosts don't.
        or name == "travel_speed_max_kmh"
    }
    assert {name for name, value in found.items() if value is None} == of_past
    # Entropies are summed in thousandths of a bit.
    assert {n: v for n, v in found.items() if v} == pytest.approx(FEATURES, abs=5e-4)
