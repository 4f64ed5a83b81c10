from pathlib import Path

from dockersched.data.run_files import RunFiles


def test_what_a_crash_left_unfinished_goes_before_an_output_comes(tmp_path: Path) -> None:
    files = RunFiles.of_run(tmp_path / "runs" / "run")
    done = files.output_dir("task", "done")
    done.mkdir()
    (done.with_name(".tmp-0123") / "deep").mkdir(parents=True)
    assert files.output_dir("task", "report") == done.with_name("report")
    assert list(done.parent.iterdir()) == [done]
