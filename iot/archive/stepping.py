"""Machine-days in DuckDB: what `iot.archive.machine_day.fold_days` defines, for all at once.

Two folds, since most of what a day needs is summed by the hour: samples to hours, hours to days.
Sums are rounded to a millionth, so that the order of additions, which DuckDB's threads choose,
leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb

from iot.archive.layout import MACHINE_DAY_SCHEMA, SAMPLE_SCHEMA
from iot.archive.machine_day import LOOK_BACK_DAYS
from iot.units import DAY, Millis

EVER: Final = Millis(1 << 62)
"""A cut after all times."""

# Only samples of `changed` machines: all from the day before their first changed day on, and the
# last one before that.
_PICKED: Final = """
create or replace temp view picked_samples as
with near as (
  select s.* exclude (fuel_remaining_percent, accuracy_m), c.first_day
  from archived_samples s join changed c using (device)
  where s.at < getvariable('cut') and s.received < getvariable('cut')
    and s.at >= (c.first_day - getvariable('look_back') - 1) * getvariable('day_ms')
    and s.at < (c.last_day + getvariable('look_back') + 1) * getvariable('day_ms')
)
select * exclude (first_day) from near where "at" >= (first_day - 1) * getvariable('day_ms')
union all
select unnest(last) from (
  select max_by(columns_of, (columns_of.boot, columns_of.seq)) as last
  from (
    select device, struct_pack(
      device := device, boot := boot, seq := seq, "at" := "at", received := received,
      operating_hours := operating_hours, idle_hours := idle_hours, fuel_used_l := fuel_used_l,
      latitude := latitude, longitude := longitude, engine_on := engine_on,
      distance_km := distance_km, faults := faults, tampered := tampered) as columns_of
    from near where "at" < (first_day - 1) * getvariable('day_ms'))
  group by device
)
"""

_ROLLED: Final = """
create or replace temp table rolled as
with compared as (
  select *,
    lag("at") over own as before_at,
    lag(received) over own as before_received,
    lag(engine_on) over own as before_engine_on,
    lag(tampered) over own as before_tampered,
    operating_hours - lag(operating_hours) over own as hours,
    idle_hours - lag(idle_hours) over own as idle,
    fuel_used_l - lag(fuel_used_l) over own as fuel,
    distance_km - lag(distance_km) over own as distance
  from picked_samples
  window own as (partition by device order by boot, seq)
), judged as (
  select *,
    before_at >= "at" - getvariable('look_back') * getvariable('day_ms') as has_before,
    greatest("at" - before_at, 0) as elapsed,
    coalesce(hours < 0, false) or coalesce(idle < 0, false) or coalesce(fuel < 0, false)
      or coalesce(distance < 0, false) as fell,
    coalesce(hours > greatest("at" - before_at, 0) / 3600000.0 + 0.11, false) as exceeds
  from compared
), stepped as (
  select device, "at", received, engine_on, faults, tampered, operating_hours, idle_hours,
    fuel_used_l, latitude, longitude, elapsed,
    coalesce(has_before, false) and fell as reset,
    coalesce(has_before, false) and not fell and exceeds as impossible,
    case when has_before and not fell and not exceeds then hours end as hours,
    case when has_before and not fell and not exceeds then idle end as idle,
    case when has_before and not fell then fuel end as fuel,
    case when has_before and not fell then distance end as distance,
    coalesce(has_before and before_engine_on and elapsed <= 3600000, false) as ran,
    tampered and not coalesce(has_before and before_tampered, false) as was_opened,
    case when has_before then greatest("at", received, before_at, before_received)
      else greatest("at", received) end as known_at
  from judged
), by_hour as (
  select device, "at" // 3600000 as hour,
    count(*) as samples, min("at") as first_at, max("at") as last_at, max(known_at) as known_at,
    sum(hours) as operating_hours, sum(idle) as idle_hours,
    sum(greatest(hours - idle, 0.0)) filter (hours is not null and idle is not null) as work_hours,
    sum(fuel) as fuel_l, sum(distance) as distance_km,
    sum(hours) filter (fuel is not null) as fuelled_hours,
    sum(fuel) filter (hours is not null) as fuelled_l,
    coalesce(sum(elapsed) filter (ran), 0) as ran_ms,
    count(*) filter (reset) as resets, count(*) filter (impossible) as impossible,
    count(*) filter (was_opened) as tampers,
    list(distinct faults) filter (faults is not null) as faults,
    count(operating_hours) + count(idle_hours) + count(fuel_used_l) + count(latitude)
      + count(engine_on) as readings,
    min(cast(trunc((latitude + 90.0) * 100) as bigint) * 36001
      + cast(trunc((longitude + 180.0) * 100) as bigint)) as cell
  from stepped group by device, hour
)
select device, hour // 24 as day, cast(sum(samples) as bigint) as samples,
  min(first_at) as first_at, max(last_at) as last_at, max(known_at) as known_at,
  round(sum(operating_hours), 6) as operating_hours, round(sum(idle_hours), 6) as idle_hours,
  round(sum(work_hours), 6) as work_hours, round(sum(fuel_l), 6) as fuel_l,
  round(sum(distance_km), 6) as distance_km, round(sum(fuelled_hours), 6) as fuelled_hours,
  round(sum(fuelled_l), 6) as fuelled_l,
  cast(sum(ran_ms) as double) / 60000.0 as engine_on_minutes,
  60 * count(*) as coverage_minutes,
  cast(sum(resets) as bigint) as resets, cast(sum(impossible) as bigint) as impossible,
  cast(sum(tampers) as bigint) as tampers,
  coalesce(len(list_distinct(string_split(
    string_agg(array_to_string(faults, ','), ','), ','))), 0) as fault_codes,
  cast(sum(readings) as bigint) as readings,
  map(
    coalesce(list(hour % 24 order by hour) filter (work_hours is not null), []),
    coalesce(list(round(work_hours, 6) order by hour) filter (work_hours is not null), [])
  ) as work_by_hour,
  coalesce(histogram(cell) filter (cell is not null), map([]::bigint[], []::bigint[])) as site_hours
from by_hour
where device in (select device from changed)
group by device, day
"""


@contextmanager
def duck(
    memory_limit: str = "2GB", threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory, which fetches nothing from anywhere and keeps to its memory.

    Args:
        memory_limit: such as '2GB'; beyond it, DuckDB spills to a temporary folder.
        threads: None: as many as there are cores.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": False,
    }
    if threads is not None:
        settings["threads"] = threads
    connection = duckdb.connect(":memory:", config=settings)
    try:
        yield connection
    finally:
        connection.close()


def see_files(
    connection: duckdb.DuckDBPyConnection, name: str, files: list[str], *, of_samples: bool
) -> None:
    """Make files of the archive a view; an empty one where there are none."""
    if files:
        connection.read_parquet(files, hive_partitioning=False).create_view(name, replace=True)
        return
    schema = SAMPLE_SCHEMA if of_samples else MACHINE_DAY_SCHEMA
    connection.from_arrow(schema.empty_table()).create_view(name, replace=True)


def roll_days(connection: duckdb.DuckDBPyConnection, cut: Millis = EVER) -> None:
    """Make `rolled`, a table of machine-days, from the views `archived_samples` and `changed`.

    `changed` has the columns device, first_day and last_day: of these machines, days from the first
    until the look-back after the last are right; `rolled` has no other machines, and may have
    other days, which are to be left out.

    Args:
        connection: of `duck`.
        cut: samples of which event or arrival are not before it don't count.
    """
    for name, value in (("cut", cut), ("look_back", LOOK_BACK_DAYS), ("day_ms", DAY)):
        connection.execute(f"set variable {name} = {int(value)}::bigint")
    connection.execute(_PICKED)
    connection.execute(_ROLLED)
