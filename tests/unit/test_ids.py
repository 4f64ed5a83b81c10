"""Run ids: nobody needs more than their names to put runs in order."""

import time

from dockersched import ids


def test_run_ids_sort_by_time_also_within_a_second() -> None:
    made = []
    for _ in range(50):
        made.append(ids.new_run_id())
        time.sleep(0.001)
    assert made == sorted(set(made))
