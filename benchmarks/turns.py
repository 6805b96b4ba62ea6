"""Contenders that run in turns, so that all of them meet the same noise."""

import statistics
import time

from benchmarks.conftest import median_ratio


def measure_in_turns(benchmark, runs, rounds):
    """Run each once to compile and then `rounds` times, and give what results say of their wall and processor seconds.

    Ratios are those of the others to "kdtheory".
    """
    wall, processor = ({name: [] for name in runs} for _ in range(2))

    def once():
        for name, run in runs.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - used)

    benchmark.pedantic(once, rounds=rounds, warmup_rounds=1)
    wall, processor = ({name: values[1:] for name, values in each.items()} for each in (wall, processor))
    return {
        "median_seconds_of": _medians(wall),
        "processor_seconds_of": _medians(processor),
        "times_faster_than": _ratios(wall),
        "times_less_processor_than": _ratios(processor),
    }


def _medians(seconds):
    return {name: round(statistics.median(values), 4) for name, values in seconds.items()}


def _ratios(seconds):
    peers = [name for name in seconds if name != "kdtheory"]
    return {name: round(median_ratio(seconds[name], seconds["kdtheory"]), 2) for name in peers}
