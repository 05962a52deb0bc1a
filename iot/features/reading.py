"""Facts before a cut, from the archive: nothing that happened or arrived later is in them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from iot.archive.as_of import see_machine_days
from iot.archive.layout import Archive
from iot.archive.stepping import duck
from iot.features.definitions import WINDOWS
from iot.features.facts import Facts, LeasedDays, Leases, Sites
from iot.fleet.fleet import Fleet, Lease
from iot.units import DAY, LesseeId, Millis

MEMORY_LIMIT: Final = "2GB"

# The hour of the local day in which an hour (UTC) begins; a shift may go over midnight.
_DAYS: Final = """
select l.lease, k.day, k.samples, k.readings, k.operating_hours, k.idle_hours, k.work_hours,
  k.fuelled_hours, k.fuelled_l, k.coverage_minutes, k.tampers, k.fault_codes,
  case when k.work_hours is not null then coalesce(list_sum([
    entry.value for entry in map_entries(k.work_by_hour) if
      case when l.work_from = l.work_to then false
      when l.work_from < l.work_to then
        ((entry.key * 60 + l.offset_minutes + 1440) % 1440) // 60 < l.work_from
        or ((entry.key * 60 + l.offset_minutes + 1440) % 1440) // 60 >= l.work_to
      else
        ((entry.key * 60 + l.offset_minutes + 1440) % 1440) // 60 < l.work_from
        and ((entry.key * 60 + l.offset_minutes + 1440) % 1440) // 60 >= l.work_to end
  ]), 0.0) end as off_hours
from known_days k join lease_terms l on k.device = l.device
  and k.day >= l.first_day and k.day < l.end_day
order by l.lease, k.day
"""

_SITES: Final = """
with entries as (
  select l.lessee, unnest(map_entries(k.site_hours)) as entry
  from known_days k join lease_terms l on k.device = l.device
    and k.day >= l.first_day and k.day < l.end_day
  where k.day >= $first_day
)
select lessee, cast(sum(entry.value) as double) as hours
from entries group by lessee, entry.key order by lessee, entry.key
"""


def read_facts(
    archive: Archive, fleet: Fleet, cut: Millis, *, memory_limit: str = MEMORY_LIMIT
) -> Facts:
    """Read all facts before a cut.

    Args:
        archive: that `iot.archive.roll_up` fills.
        fleet: its leases say whose machine-days are whose; zones don't matter.
        cut: midnight UTC.
        memory_limit: of DuckDB.

    Raises:
        ArchiveError: the archive does not reach the cut, or can't be read.
    """
    leases = [
        lease
        for device in sorted(fleet.leases)
        for lease in fleet.leases[device]
        if lease.start < cut
    ]
    lessees = tuple(sorted({lease.lessee for of in fleet.leases.values() for lease in of}))
    columns = _leases(leases, fleet, lessees, cut)
    with duck(memory_limit) as connection:
        see_machine_days(connection, archive, cut // DAY - max(WINDOWS), cut)
        connection.register("lease_terms", _terms(leases, columns))
        table = connection.sql(_DAYS).to_arrow_table()
        days = LeasedDays(
            **{
                field.name: _values(table, field.name)
                if field.name not in ("lease", "day")
                else table.column(field.name).to_numpy().astype(np.int64)
                for field in fields(LeasedDays)
            }
        )
        sites = {window: _sites(connection, cut // DAY - window) for window in WINDOWS}
    return Facts(cut, lessees, columns, days, sites)


def _leases(
    leases: list[Lease], fleet: Fleet, lessees: tuple[LesseeId, ...], cut: Millis
) -> Leases:
    """A day belongs to the lease that holds in its last millisecond."""
    lessee = {name: code for code, name in enumerate(lessees)}
    device = {name: code for code, name in enumerate(fleet.devices)}
    model = {name: code for code, name in enumerate(fleet.models)}
    end = cut // DAY
    ends = [end if lease.end is None else min(end, lease.end // DAY) for lease in leases]
    return Leases(
        lessee=_integers(lessee[lease.lessee] for lease in leases),
        device=_integers(device[lease.device] for lease in leases),
        model=_integers(model[fleet.devices[lease.device]] for lease in leases),
        first_day=_integers(lease.start // DAY for lease in leases),
        end_day=_integers(ends),
        runs=np.array([lease.end is None or lease.end >= cut for lease in leases], np.bool_),
        start=_integers(lease.start for lease in leases),
        shift_hours=np.array(
            [(lease.work_to - lease.work_from) % 24 or 24 for lease in leases], np.float64
        ),
    )


def _terms(leases: list[Lease], columns: Leases) -> pa.Table:
    return pa.table(
        {
            "lease": pa.array(np.arange(len(leases))),
            "lessee": pa.array(columns.lessee),
            "device": pa.array([lease.device for lease in leases], pa.string()),
            "first_day": pa.array(columns.first_day),
            "end_day": pa.array(columns.end_day),
            "work_from": pa.array([lease.work_from % 24 for lease in leases], pa.int64()),
            # A shift to midnight ends at 24, unless it is the whole day.
            "work_to": pa.array(
                [lease.work_to if lease.work_from % 24 else lease.work_to % 24 for lease in leases],
                pa.int64(),
            ),
            "offset_minutes": pa.array([lease.utc_offset_minutes for lease in leases], pa.int64()),
        }
    )


def _sites(connection: duckdb.DuckDBPyConnection, first_day: int) -> Sites:
    table = connection.sql(_SITES, params={"first_day": first_day}).to_arrow_table()
    lessee = table.column("lessee").to_numpy().astype(np.int64)
    return Sites(lessee, _values(table, "hours"))


def _values(table: pa.Table, name: str) -> Any:
    return table.column(name).cast(pa.float64()).to_numpy().astype(np.float64)


def _integers(values: Any) -> Any:
    return np.fromiter(values, np.int64)
