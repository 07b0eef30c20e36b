"""One name for each machine and account, whatever spelling a log has: by configured domains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Names:
    """Domains that names are shortened by, all lower-cased.

    Attributes
    ----------
    host_domains : ``web1.corp.example.com`` is ``web1`` if ``corp.example.com`` is one of these
    user_domains : other spellings by domain, ``{"corp": ["corp.example.com"]}``: of accounts
    """

    host_domains: Sequence[str] = ()
    user_domains: Mapping[str, Sequence[str]] = field(default_factory=dict)


def short_host(host: Column, names: Names) -> Column:
    """A host's name without its domain, if that is one of ``host_domains``."""
    if not names.host_domains:
        return host
    domain = F.regexp_extract(host, r"^[^.]+\.(.+)$", 1)
    return F.when(domain.isin(*names.host_domains), F.substring_index(host, ".", 1)).otherwise(host)


def unify_names(events: DataFrame, names: Names) -> DataFrame:
    r"""Bring hosts and domains to one spelling and add ``account``; event in and out.

    An account is ``domain\name``; a domain alone is nobody.
    """
    if names.host_domains:
        hosts = [name for name in ("host_name", "target_host_name") if name in events.columns]
        events = events.withColumns({name: short_host(F.col(name), names) for name in hosts})
    domain = F.col("user_domain")
    for short, spellings in names.user_domains.items():
        domain = F.when(F.col("user_domain").isin(*spellings), F.lit(short)).otherwise(domain)
    name = F.when(F.col("user_name") != "", F.col("user_name"))
    account = F.coalesce(F.concat("user_domain", F.lit("\\"), name), name)
    return events.withColumn("user_domain", domain).withColumn("account", account)
