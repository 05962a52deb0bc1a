"""What simulated devices say: seeded, consistent with itself, and with its truth to be seen."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from iot.codec.sample import Sample
from iot.codec.wire import decode, encode_json
from iot.fleet.fleet import Lease
from iot.geofence.fences import Fences
from iot.units import DAY, HOUR, MINUTE
from simulations.fleet.machine_run import MachineRun, run_machine
from simulations.fleet.plan import QUIET, RATES, Plan
from simulations.fleet.population import Population, draw_population
from simulations.fleet.streams import (
    arrival_stream,
    device_stream,
    fleet_stream,
    run_fleet,
    truths,
)
from simulations.fleet.truth import Happening, Truth

SKEW = 4 * MINUTE
BUSY = Plan(
    seed=11,
    days=24,
    interval_s=120,
    rates={kind: 8 * rate for kind, rate in RATES.items()} | {Happening.TRANSPORT: 0.5},
)


@lru_cache(maxsize=1)
def busy() -> tuple[Population, tuple[tuple[MachineRun, tuple[Sample, ...]], ...]]:
    """A fleet to which much happens, with every device's readings."""
    population = draw_population(11, 40)
    runs = run_fleet(population, BUSY)
    return population, tuple((run, tuple(device_stream(run))) for run in runs)


def bytes_of(plan: Plan) -> bytes:
    machines = draw_population(plan.seed, 3).machines
    return msgspec.msgpack.encode(list(fleet_stream(machines, plan)))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    plan = Plan(seed=2, days=6, interval_s=300)
    assert bytes_of(plan) == bytes_of(plan)
    assert bytes_of(plan) != bytes_of(Plan(seed=3, days=6, interval_s=300))


def test_a_machine_lives_the_same_life_whatever_others_do() -> None:
    machines = draw_population(2, 8).machines
    plan = Plan(seed=2, days=6, interval_s=300)
    alone = list(device_stream(run_machine(machines[5], plan)))
    among = [one for one in fleet_stream(machines, plan) if one.device == machines[5].device]
    assert alone == among


def test_messages_are_numbered_from_one_in_every_boot() -> None:
    for run, samples in busy()[1]:
        assert samples[0].seq == 1
        for before, now in pairwise(samples):
            if now.boot == before.boot:
                assert now.seq == before.seq + 1
                assert now.at > before.at
            else:
                assert now.boot > before.boot
                assert now.seq == 1
        assert len({(one.boot, one.seq) for one in samples}) == len(samples)
        assert samples[-1].boot == run.device.first_boot + run.device.boots.size


def test_counters_fall_only_where_a_device_was_replaced() -> None:
    falls = 0
    for run, samples in busy()[1]:
        replaced = [one for one in run.truths if one.kind is Happening.DEVICE_REPLACED]
        for before, now in pairwise(samples):
            fell = any(
                getattr(now, name) < getattr(before, name)
                for name in ("operating_hours", "idle_hours", "fuel_used_l", "distance_km")
                if getattr(now, name) is not None
            )
            if fell:
                falls += 1
                assert any(one.start - SKEW <= now.at <= one.end + SKEW for one in replaced)
    assert falls == sum(
        one.kind is Happening.DEVICE_REPLACED for run, _ in busy()[1] for one in run.truths
    )
    assert falls > 0


def test_hours_gained_never_exceed_the_clock_but_where_the_meter_jumped() -> None:
    for run, samples in busy()[1]:
        jumps = [one for one in run.truths if one.kind is Happening.METER_JUMP]
        for before, now in pairwise(samples):
            if now.boot != before.boot:
                continue
            gained = (now.operating_hours or 0.0) - (before.operating_hours or 0.0)
            if gained > (now.at - before.at) / HOUR + 0.11:
                assert any(one.start - SKEW <= now.at <= one.end + SKEW for one in jumps)


def test_the_tank_is_never_empty_nor_over_full_in_truth() -> None:
    with_tank = [run for run, _ in busy()[1] if run.tank is not None]
    assert 0 < len(with_tank) < len(busy()[1])
    for run in with_tank:
        tank_l = run.machine.kind.model.tank_l
        assert run.tank is not None
        assert tank_l is not None
        at = np.arange(BUSY.start, BUSY.end, MINUTE, dtype=np.float64)
        drained = np.interp(at, run.counters.at, run.counters.drained_l, left=0.0)
        level = run.tank.first + run.tank.put_in(at) - drained
        assert level.min() > 0.0
        assert level.max() <= tank_l
        # It is filled up as it is emptied: over the run hardly anything is left over.
        assert (np.diff(run.tank.litres) > 0).any()


def test_a_machine_without_a_tank_tells_no_fuel() -> None:
    for run, samples in busy()[1]:
        has = run.machine.kind.model.tank_l is not None
        assert all((one.fuel_used_l is not None) == has for one in samples)
        assert all((one.fuel_remaining_percent is not None) == has for one in samples)


def test_every_reading_passes_the_wire() -> None:
    for _, samples in busy()[1]:
        for sample in samples[::97]:
            assert decode(encode_json(sample), sample.device, sample.received) == sample


def test_all_happenings_are_drawn_and_lie_in_the_run() -> None:
    all_truths = truths(run for run, _ in busy()[1])
    assert {one.kind for one in all_truths} >= set(Happening) - {Happening.IDLE_UNMETERED}
    for one in all_truths:
        assert BUSY.start <= one.start < one.end <= BUSY.end
        assert one.size > 0


def test_events_differ_in_size_by_an_order_of_magnitude() -> None:
    sizes: dict[Happening, list[float]] = {}
    for run, _ in busy()[1]:
        for one in run.truths:
            sizes.setdefault(one.kind, []).append(one.size)
    for kind in (Happening.SIPHONING, Happening.OFF_HOURS_USE, Happening.SILENT, Happening.FAULT):
        assert max(sizes[kind]) > 3 * min(sizes[kind])


def in_truth(samples: tuple[Sample, ...], truth: Truth) -> list[Sample]:
    """Readings well within a truth, whatever the device's clock says."""
    inside = [one for one in samples if truth.start + SKEW <= one.at < truth.end - SKEW]
    assert inside, truth
    return inside


def outside_m(population: Population, samples: list[Sample]) -> list[float]:
    device = samples[0].device
    leases: list[Lease | None] = [population.fleet.lease_at(device, one.at) for one in samples]
    nan = float("nan")
    metres = Fences(population.fleet).outside_m(
        leases,
        [one.at for one in samples],
        np.array([nan if one.latitude is None else one.latitude for one in samples]),
        np.array([nan if one.longitude is None else one.longitude for one in samples]),
    )
    return [float(one) for one in metres]


@pytest.mark.parametrize(
    "kind", [Happening.THEFT_TOWED, Happening.THEFT_DRIVEN, Happening.EXCURSION]
)
def test_leaving_the_zone_is_seen_as_far_as_it_is_said(kind: Happening) -> None:
    population, runs = busy()
    for run, samples in runs:
        for truth in (one for one in run.truths if one.kind is kind):
            inside = [one for one in in_truth(samples, truth) if (one.accuracy_m or 99) < 20]
            metres = outside_m(population, inside)
            assert np.nanmax(metres) == pytest.approx(truth.size, rel=0.02, abs=170)
            engine = {one.engine_on for one in inside}
            assert (True in engine) == (kind is not Happening.THEFT_TOWED)


def test_siphoned_litres_are_missing_from_the_tank() -> None:
    for run, samples in busy()[1]:
        for truth in (one for one in run.truths if one.kind is Happening.SIPHONING):
            tank_l = run.machine.kind.model.tank_l or 0.0
            before = [one for one in samples if truth.start - HOUR < one.at < truth.start - SKEW]
            after = [one for one in samples if truth.end + SKEW < one.at < truth.end + HOUR / 2]
            if before and after:
                fall = np.mean([one.fuel_remaining_percent for one in before]) - np.mean(
                    [one.fuel_remaining_percent for one in after]
                )
                assert fall * tank_l / 100 == pytest.approx(truth.size, abs=0.01 * tank_l)
                assert before[0].fuel_used_l == after[-1].fuel_used_l


def test_running_off_hours_and_idling_engines_show_on_the_meters() -> None:
    for run, samples in busy()[1]:
        for truth in run.truths:
            if truth.kind in (Happening.OFF_HOURS_USE, Happening.ENGINE_IDLING):
                around = [
                    one for one in samples if truth.start - SKEW <= one.at <= truth.end + 2 * SKEW
                ]
                name = "idle_hours" if truth.kind is Happening.ENGINE_IDLING else "operating_hours"
                gained = getattr(around[-1], name) - getattr(around[0], name)
                assert gained == pytest.approx(truth.size, rel=0.05, abs=0.25)


def test_idle_machines_gain_no_work_hours() -> None:
    for run, samples in busy()[1]:
        for truth in (one for one in run.truths if one.kind is Happening.IDLE):
            resets = [
                one
                for one in run.truths
                if one.kind in (Happening.DEVICE_REPLACED, Happening.METER_JUMP)
            ]
            if any(one.start < truth.end and truth.start < one.end for one in resets):
                continue
            inside = [one for one in samples if truth.start + SKEW <= one.at < truth.end - SKEW]
            if len(inside) > 1:
                work = [(one.operating_hours or 0) - (one.idle_hours or 0) for one in inside]
                assert max(work) - min(work) <= 0.11


def test_nothing_arrives_from_a_silent_device() -> None:
    for run, samples in busy()[1]:
        received = np.sort([one.received for one in samples])
        for truth in (one for one in run.truths if one.kind is Happening.SILENT):
            # What was sent just before may still be on its way for five minutes.
            first, last = np.searchsorted(received, (truth.start + 6 * MINUTE, truth.end))
            assert first == last


def test_tampering_faults_and_false_positions_are_told() -> None:
    for run, samples in busy()[1]:
        for truth in run.truths:
            if truth.kind is Happening.TAMPER:
                assert all(one.tampered for one in in_truth(samples, truth))
            if truth.kind is Happening.FAULT:
                assert all(len(one.faults) == truth.size for one in in_truth(samples, truth))
            if truth.kind is Happening.GPS_SPOOF:
                metres = outside_m(busy()[0], in_truth(samples, truth))
                assert np.nanmin(metres) > 0.5 * 1_000 * truth.size
    quiet = [one for run, samples in busy()[1] for one in samples[:300]]
    assert not any(one.tampered or one.faults for one in quiet)


def test_a_frozen_meter_stands_while_the_engine_burns() -> None:
    for run, samples in busy()[1]:
        for truth in (one for one in run.truths if one.kind is Happening.FROZEN_HOURS):
            if truth.size < 1.0:
                continue
            inside = in_truth(samples, truth)
            assert (inside[-1].operating_hours or 0) - (inside[0].operating_hours or 0) <= 0.11
            on = sum(bool(one.engine_on) for one in inside) * BUSY.interval_s / 3_600
            assert on > 0.5 * truth.size
            if run.tank is not None:
                assert (inside[-1].fuel_used_l or 0) - (inside[0].fuel_used_l or 0) > 1.0


def test_thirst_and_leaks_show_in_litres_as_many_percent_as_said() -> None:
    seen = Counter[Happening]()
    for run, _ in busy()[1]:
        totals = run.counters
        rate = run.machine.kind.model.litres_per_hour or 0.0
        for truth in run.truths:
            span = np.array([truth.start, truth.end], dtype=np.float64)
            burnt = np.diff(np.interp(span, totals.at, totals.fuel_l))[0]
            drained = np.diff(np.interp(span, totals.at, totals.drained_l))[0]
            hours = np.diff(np.interp(span, totals.at, totals.operating_hours))[0]
            if hours < 15:
                continue
            if truth.kind is Happening.FUEL_LEAK:
                assert 100 * (drained / burnt - 1) == pytest.approx(truth.size, rel=0.1)
                seen[truth.kind] += 1
            if truth.kind is Happening.FUEL_DRIFT:
                # Idling burns less, so an hour takes a little under the usual.
                assert 0.75 < burnt / hours / rate / (1 + truth.size / 100) < 1.1
                seen[truth.kind] += 1
    assert len(seen) == 2


def test_work_lies_within_the_hours_of_the_lease_but_for_off_hours_use() -> None:
    for run in run_fleet(draw_population(6, 24), Plan(seed=6, days=21, rates=QUIET)):
        machine = run.machine
        offset = machine.utc_offset_minutes * MINUTE - machine.work_from * HOUR
        for edge in (run.segments.start, run.segments.end - 1):
            assert ((edge + offset) % DAY <= machine.shift_hours * HOUR).all()


def test_a_machine_drives_no_faster_than_it_can() -> None:
    for run, _ in busy()[1]:
        segments, totals = run.segments, run.counters
        metres = np.hypot(np.diff(totals.x), np.diff(totals.y))[::2]
        hours = (segments.end - segments.start) / HOUR
        kmh = np.where(segments.doing == 4, 0.0, metres / 1_000 / hours)
        assert kmh.max() <= run.machine.kind.model.top_speed_kmh
        assert (segments.start[1:] >= segments.end[:-1] - 1.0).all()


def test_arrivals_are_the_devices_readings_in_another_order_some_twice() -> None:
    machines = draw_population(8, 6)
    plan = Plan(seed=8, days=9, interval_s=300, dead_zones_a_day=0.8)
    sent = {(one.device, one.boot, one.seq): one for one in fleet_stream(machines.machines, plan)}
    arrived = list(arrival_stream(run_fleet(machines, plan)))
    assert all(one.received <= other.received for one, other in pairwise(arrived))
    times = Counter((one.device, one.boot, one.seq) for one in arrived)
    assert times.keys() == sent.keys()
    assert set(times.values()) == {1, 2}
    share = sum(count == 2 for count in times.values()) / len(times)
    assert share == pytest.approx(plan.duplicate_share, abs=0.008)
    first: set[object] = set()
    for one in arrived:
        key = (one.device, one.boot, one.seq)
        same = sent[key]
        if key not in first:
            assert one == same
            first.add(key)
        else:
            assert msgspec.structs.replace(one, received=same.received) == same
    out_of_order = sum(
        one.device == other.device and (other.boot, other.seq) < (one.boot, one.seq)
        for one, other in pairwise(sorted(arrived, key=lambda one: (one.device, one.received)))
    )
    assert out_of_order > 20


def test_parked_machines_report_as_seldom_as_asked() -> None:
    machine = draw_population(9, 1).machines[0]
    plan = Plan(seed=9, days=7, rates=QUIET, parked_interval_s=600)
    samples = list(device_stream(run_machine(machine, plan)))
    parked = [
        now.at - before.at
        for before, now in pairwise(samples)
        if not before.engine_on and not now.engine_on
    ]
    running = [
        now.at - before.at
        for before, now in pairwise(samples)
        if before.engine_on and now.engine_on
    ]
    assert np.median(parked) == pytest.approx(600_000, abs=5_000)
    assert np.median(running) == pytest.approx(60_000, abs=5_000)
