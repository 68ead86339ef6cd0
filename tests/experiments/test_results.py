import csv
import dataclasses
import io
import json
import pathlib
import re

import numpy as np
import pytest

from keras_selectscale import recipes
from keras_selectscale.cli.results import command
from keras_selectscale.experiments import results
from keras_selectscale.experiments.figure_tables import read_section
from keras_selectscale.experiments.results_report import FORMATS, report
from keras_selectscale.training import Recipe, RunFolder

ROOT = pathlib.Path(__file__).parents[2]
NONE = Recipe(network="resnet-20", dataset="digits", epochs=3)
DROP = dataclasses.replace(NONE, drop="selectscale", top_rate=0.1, retaining_rate=0.4)
# The 97.5% points of Student's t, from tables.
T = {1: 12.7062, 2: 4.3027, 3: 3.1824}


def record(folder, recipe, errors, **fields):
    for seed, error in errors.items():
        run = RunFolder(folder / f"{recipe.drop}-{seed}-{recipe.precision}")
        run.open(dataclasses.replace(recipe, seed=seed), {"machine": "M", "backend": "jax"})
        run.write_result(result(recipe, test_error=error, **fields))


def result(recipe, **fields):
    content = {"test_error": 5.0, "train_error": 0.0, "parameters": 1, "epochs": recipe.epochs}
    return {**content, "seconds": 1.0, "images_per_second": 2.0, **fields}


def grouped(folder):
    found = results.find_runs([folder])
    return results.group_runs(found.runs), found


def test_means_and_intervals_are_those_of_students_t(tmp_path):
    record(tmp_path, NONE, {0: 5.0, 1: 5.5, 2: 6.3})
    (group,), _ = grouped(tmp_path)
    errors = np.array([5.0, 5.5, 6.3])
    half = T[2] * errors.std(ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(
        group.test_error, [errors.mean(), *(errors.mean() + [-half, half])], rtol=1e-4
    )
    assert group.deviation == pytest.approx(errors.std(ddof=1)) and group.difference is None


def test_shared_seeds_are_paired_and_others_are_not(tmp_path):
    record(tmp_path, NONE, {0: 5.0, 1: 7.0, 2: 9.0, 3: 100.0})
    record(tmp_path, DROP, {0: 4.0, 1: 6.5, 2: 8.6})
    none, drop = grouped(tmp_path)[0]
    assert none.recipe.drop == "none" and drop.difference.pairs == 3
    away = np.array([-1.0, -0.5, -0.4])
    half = T[2] * away.std(ddof=1) / np.sqrt(3)
    expected = [away.mean(), away.mean() - half, away.mean() + half]
    np.testing.assert_allclose(drop.difference[:3], expected, rtol=1e-4)


def test_without_a_shared_seed_the_interval_is_welchs(tmp_path):
    record(tmp_path, NONE, {0: 5.0, 1: 6.0})
    record(tmp_path, DROP, {2: 4.0, 3: 5.0})
    difference = grouped(tmp_path)[0][1].difference
    # With equal variances and sizes Welch's degrees of freedom are those of both groups, 2.
    half = T[2] * np.sqrt(0.5 / 2 + 0.5 / 2)
    np.testing.assert_allclose(difference[:3], [-1, -1 - half, -1 + half], rtol=1e-4)
    assert (difference.pairs, difference.method) == (0, "Welch's t")


def test_single_runs_have_no_interval(tmp_path):
    record(tmp_path, NONE, {0: 5.0})
    record(tmp_path, DROP, {0: 4.0})
    none, drop = grouped(tmp_path)[0]
    assert none.test_error == (5.0, None, None) and none.deviation is None
    assert drop.difference[:4] == (-1.0, None, None, 1)


def test_another_precision_is_another_group(tmp_path):
    record(tmp_path, NONE, {0: 5.0})
    record(tmp_path, dataclasses.replace(DROP, precision="mixed_bfloat16"), {0: 4.0})
    assert [group.difference for group in grouped(tmp_path)[0]] == [None, None]


def test_the_papers_cell_stands_beside_a_run_of_its_recipe(tmp_path):
    cell = recipes.get("table1/wrn-20-4/selectscale")
    record(tmp_path, dataclasses.replace(cell.recipe, precision="mixed_bfloat16"), {4: 4.5})
    record(tmp_path, dataclasses.replace(cell.recipe, epochs=199), {4: 4.5})
    names = {group.name: group.published for group in grouped(tmp_path)[0]}
    assert names == {cell.name: cell, "wrn-20-4/cifar10/selectscale": None}


def test_damaged_and_unfinished_runs_are_named_and_the_others_shown(tmp_path):
    record(tmp_path, NONE, {0: 5.0})
    record(tmp_path / "bad", DROP, {0: "x"})
    record(tmp_path / "worse", DROP, {1: 200.0})
    (tmp_path / "worst").mkdir()
    (tmp_path / "worst" / "config.json").write_text("[" * 100_000)
    RunFolder(tmp_path / "begun").open(DROP, {})
    groups, found = grouped(tmp_path)
    assert [group.recipe.drop for group in groups] == ["none"]
    assert found.unfinished == [tmp_path / "begun"] and len(found.damaged) == 3
    for form in ("text", "markdown", "json"):
        text = report(groups, found, form)
        assert all(name in text for name in ("bad", "worse", "worst", "begun"))
    with pytest.raises(ValueError, match="no run was found"):
        (tmp_path / "empty").mkdir()
        results.find_runs([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("environment", "fields", "named"),
    [
        ({"packages": None}, {}, "config.json is damaged: the field `environment.packages`"),
        ({"packages": {"keras": 3}}, {}, "environment.packages"),
        ({"accelerator": {"name": "X", "memory_mib": "many"}}, {}, "accelerator.memory_mib"),
        ({"accelerator": {"count": 2}}, {}, "`environment.accelerator.name` is missing"),
        ({"commit": 1}, {}, "environment.commit"),
        ({"other": float("nan")}, {}, "a number is not finite"),
        ({}, {"epochs": 2}, "result.json is damaged: epochs is 2, of 3"),
        ({}, {"seconds": -5.0}, "seconds is -5.0"),
        ({}, {"images_per_second": float("nan")}, "images_per_second is nan"),
        ({}, {"train_error": 101.0}, "train_error is 101.0"),
        ({}, {"test_class_errors": [101.0]}, "test_error is 101.0"),
    ],
)
def test_no_value_of_one_run_hides_the_others(environment, fields, named, tmp_path):
    record(tmp_path / "good", NONE, {0: 5.0})
    run = RunFolder(tmp_path / "bad")
    run.open(DROP, {})
    config = {"recipe": DROP.as_json(), "environment": environment}
    run.config_path.write_text(json.dumps(config), encoding="utf-8")
    run.result_path.write_text(json.dumps(result(DROP, **fields)), encoding="utf-8")
    groups, found = grouped(tmp_path)
    assert [group.recipe.drop for group in groups] == ["none"]
    assert len(found.damaged) == 1 and named in found.damaged[0] and "bad" in found.damaged[0]
    for form in FORMATS:
        assert "resnet-20" in report(groups, found, form)


def test_a_damaged_history_and_a_lost_config_are_named(tmp_path):
    header = "epoch,loss,accuracy,learning_rate\n"
    rows = [f"{epoch},1.0,0.5,0.1\n" for epoch in (1, 2, 3)]
    for folder, text in (
        ("good", header + "".join(rows)),
        ("short", header + rows[0]),
        ("garbage", "garbage"),
        ("lost", header + "".join(rows)),
    ):
        record(tmp_path / folder, dataclasses.replace(DROP, top_rate=len(folder) / 10), {0: 5.0})
        (tmp_path / folder / "selectscale-0-float32" / "history.csv").write_text(text)
    (tmp_path / "lost" / "selectscale-0-float32" / "config.json").unlink()
    groups, found = grouped(tmp_path)
    assert [run.path.parent.name for group in groups for run in group.runs] == ["good"]
    garbage, lost, short = found.damaged
    assert "garbage" in garbage and "history.csv is damaged" in garbage
    assert "lost" in lost and "it has a result and no config.json" in lost
    assert "history.csv is damaged: it has 1 of 3 epochs" in short
    # Nothing in the tables comes from the history.
    (tmp_path / "good" / "selectscale-0-float32" / "history.csv").unlink()
    assert len(grouped(tmp_path)[0]) == 1


def test_of_two_runs_with_one_seed_the_first_counts_and_the_other_is_named(tmp_path):
    record(tmp_path / "a", NONE, {0: 5.0, 1: 6.0})
    record(tmp_path / "b", NONE, {0: 90.0, 2: 7.0})
    (group,), found = grouped(tmp_path)
    assert group.errors == {0: 5.0, 1: 6.0, 2: 7.0}
    (sentence,) = found.repeated
    assert "b/none-0-float32 has the recipe and the seed of " in sentence
    for form in ("text", "markdown", "json"):
        assert sentence in report([group], found, form)
    # The same folder twice is one run.
    assert not results.find_runs([tmp_path / "a", tmp_path / "a"]).repeated


def test_every_form_has_the_same_numbers(tmp_path):
    record(tmp_path, NONE, {0: 5.0, 1: 7.0})
    record(tmp_path, DROP, {0: 4.0, 1: 6.5})
    groups, found = grouped(tmp_path)
    texts = {form: report(groups, found, form) for form in FORMATS}
    option = next(option for option in command.params if option.name == "form")
    assert list(option.type.choices) == list(FORMATS)
    row = next(line for line in texts["text"].splitlines() if "selectscale" in line)
    markdown = next(line for line in texts["markdown"].splitlines() if "selectscale" in line)
    for cell in ("t 0.1, q 0.4", "5.25 ± 1.77", "-0.75 [-3.93, +2.43] (2 paired)"):
        assert cell in row and cell in markdown
    of_json = json.loads(texts["json"])["groups"][1]
    of_csv = list(csv.DictReader(io.StringIO(texts["csv"])))[1]
    assert of_json["test_error"]["method"] == of_csv["interval_method"] == "Student's t"
    assert of_json["difference"]["low"] == float(of_csv["difference_low"])
    assert of_json["test_error"]["mean"] == float(of_csv["mean"]) == 5.25
    assert of_json["runs"]["1"]["test_error"] == 6.5


@pytest.mark.parametrize("path", ["RESULTS.md", "docs/results.md"])
def test_the_page_of_results_is_up_to_date(path, monkeypatch):
    """The command of results/README.md."""
    monkeypatch.chdir(ROOT)
    words = " ".join(pathlib.Path("results/README.md").read_text(encoding="utf-8").split())
    shown = re.findall(r"--figure (\S+)", words)
    assert len(shown) == 2
    sections = [read_section(pathlib.Path(each)) for each in shown]
    groups, found = grouped("results")
    expected = report(groups, found, "markdown", sections)
    assert pathlib.Path(path).read_text(encoding="utf-8") == expected


def test_a_recipe_without_a_published_error_is_named_and_stands_beside_nothing(tmp_path):
    for method in ("none", "selectscale", "selectscale-random"):
        cell = recipes.get(f"lowdata/resnet-20/{method}")
        record(tmp_path / method, cell.recipe, {0: 25.0, 1: 26.0})
    groups, found = grouped(tmp_path)
    names = [f"lowdata/resnet-20/{m}" for m in ("none", "selectscale", "selectscale-random")]
    assert [group.name for group in groups] == names
    assert [group.difference and group.difference.mean for group in groups] == [None, 0.0, 0.0]
    for form in FORMATS:
        assert "score random" in report(groups, found, form)
    assert all(
        each["published"] is None for each in json.loads(report(groups, found, "json"))["groups"]
    )


def test_a_drop_stands_beside_its_controls(tmp_path):
    record(tmp_path / "max", DROP, {0: 4.0, 1: 5.0, 2: 5.5})
    record(tmp_path / "random", dataclasses.replace(DROP, score="random"), {0: 5.0, 1: 5.5, 2: 6.6})
    record(tmp_path / "other", dataclasses.replace(DROP, top_rate=0.2, score="lowest"), {0: 1.0})
    groups, found = grouped(tmp_path)
    ((group, control),) = results.against_controls(groups)
    assert (group.recipe.score, control.recipe.score) == ("max", "random")
    for form in ("text", "markdown"):
        assert "Against the controls" in report(groups, found, form)
        assert "-0.87 [-1.67, -0.07] (3 paired)" in report(groups, found, form)


def test_calibration_and_classes_are_shown_if_they_were_recorded(tmp_path):
    record(tmp_path / "old", NONE, {0: 5.0})
    groups, found = grouped(tmp_path)
    assert "NLL" not in report(groups, found, "text")
    classes = {"test_class_errors": [1.0, None, 9.0], "ece_bins": 15}
    record(tmp_path / "a", DROP, {0: 5.0}, test_nll=0.5, test_ece=0.02, **classes)
    record(tmp_path / "b", DROP, {1: 5.0}, test_nll=0.7, test_ece=0.04, **classes)
    record(tmp_path / "bad", DROP, {2: 5.0}, test_nll=0.7, test_ece=4.0)
    groups, found = grouped(tmp_path)
    assert len(found.damaged) == 1 and "test_ece is 4.0" in found.damaged[0]
    row = ["2", "0.600 ± 0.141", "3.00 ± 1.41", "9.00 ± 0.00"]
    assert " | ".join(row) in report(groups, found, "markdown")
    assert all(cell in report(groups, found, "text") for cell in row)
    # Of another length, or none at all.
    record(tmp_path / "c", DROP, {3: 5.0}, test_nll=0.7, test_class_errors=[1.0])
    assert "| 3 | 0.633 ± 0.115 | 3.00 ± 1.41 |  |" in report(*grouped(tmp_path), "markdown")


def test_what_a_run_was_made_on_names_the_accelerator_and_the_commit(tmp_path):
    accelerator = {"name": "NVIDIA X", "count": 2, "memory_mib": 81559, "driver": "550.1"}
    for seed, recorded in enumerate((accelerator, {"name": "TPU", "count": 4}, None, "old text")):
        run = RunFolder(tmp_path / str(seed))
        run.open(
            dataclasses.replace(NONE, seed=seed), {"accelerator": recorded, "commit": "c" * 40}
        )
        run.write_result(result(NONE))
    text = report(*grouped(tmp_path), "markdown")
    for made in (
        "2x NVIDIA X 80 GiB driver 550.1, commit ccccccccc",
        "4x TPU,",
        "| old text, comm",
    ):
        assert made in text
