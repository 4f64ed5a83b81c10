from pathlib import Path

from dockersched.data.run_files import RunFiles


def test_what_a_crash_left_unfinished_goes_before_an_output_comes(tmp_path: Path) -> None:
    files = RunFiles.of_run(tmp_path / "runs" / "run")
    done = files.output_dir("task", "done")
    done.mkdir()
    (done.with_name(".tmp-0123") / "deep").mkdir(parents=True)
    assert files.output_dir("task", "report") == done.with_name("report")
    assert list(done.parent.iterdir()) == [done]


def test_no_id_of_a_task_leads_out_of_the_folder_of_the_run(tmp_path: Path) -> None:
    files = RunFiles.of_run(tmp_path / "runs" / "run")
    for task_id in ("../../x", "/etc", "..", "a/b", "\0", "é" * 200):
        assert files.output_dir(task_id, "o").parent.parent == tmp_path / "runs" / "run" / "artifacts"


def test_an_output_that_is_not_made_again_goes_alone(tmp_path: Path) -> None:
    files = RunFiles.of_run(tmp_path / "runs" / "run")
    for output in ("stays", "goes"):
        files.output_dir("task", output).mkdir()
    files.drop_output("task", "goes")
    files.drop_output("task", "was-never-there")
    assert [path.name for path in files.output_dir("task", "x").parent.iterdir()] == ["stays"]
