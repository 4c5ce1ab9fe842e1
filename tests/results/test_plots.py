from __future__ import annotations

import base64
import io
import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbhelpers import results
from nbhelpers.errors import UserErrorException
from nbhelpers.results.charts import draw_confusion, draw_shares
from nbhelpers.results.style import looks, short

from .small_runs import ChildRun, StepRun


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def run_of(metric, *points):
    """A search whose children have these (score, fit time)."""
    children = [ChildRun(k, "LightGBM", score=score, fit_time=seconds) for k, (score, seconds) in enumerate(points)]
    return StepRun(children, None, children[0], primary_metric=metric)


def line(figure, label):
    return next(line for line in figure.axes[0].lines if line.get_label() == label)


def front(figure):
    drawn = line(figure, "no other is better and faster")
    return sorted(set(zip(drawn.get_xdata(orig=True), drawn.get_ydata(orig=True), strict=True)))


def legend(figure):
    return [text.get_text() for text in (figure.legends or [figure.axes[0].get_legend()])[0].get_texts()]


def test_scores_show_each_algorithm_the_best_so_far_and_the_failed(bank_run):
    figure = results.plot_scores(bank_run)
    assert legend(figure) == ["best so far", "LogisticRegression", "RandomForest", "without a score"]
    assert list(line(figure, "without a score").get_xdata()) == [2]
    axes = figure.axes[0]
    assert figure.get_suptitle() == "AUC_weighted (mean over the folds, higher is better)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "AUC_weighted")


def test_on_the_right_are_those_that_were_the_best_when_they_ended_by_training_time():
    run = run_of("normalized_mean_absolute_error", (0.3, 2.0), (0.4, 1.0), (0.1, 3.0))
    figure = results.plot_scores(run)
    (points,) = figure.axes[1].collections
    assert points.get_offsets().tolist() == [[2.0, 0.3], [6.0, 0.1]]
    assert "training time" in figure.axes[1].get_xlabel()
    assert figure.alt.endswith("That took 6 of 6 seconds of training.")


def test_a_run_that_tells_no_times_is_drawn_by_iteration_alone():
    run = run_of("accuracy", (0.3, 2.0))
    del run.children[0].properties["fit_time"]
    assert len(results.plot_scores(run).axes) == 1


def test_of_two_as_good_only_the_faster_is_on_the_pareto_front():
    figure = results.plot_tradeoff(run_of("accuracy", (0.9, 5.0), (0.9, 1.0), (0.9, 5.0)))
    assert front(figure) == [(1.0, 0.9)]


def test_the_pareto_front_leaves_out_what_another_beats_in_both():
    figure = results.plot_tradeoff(run_of("accuracy", (0.90, 5.0), (0.80, 1.0), (0.85, 6.0), (0.70, 2.0), (0.95, 9.0)))
    assert front(figure) == [(1.0, 0.80), (5.0, 0.90), (9.0, 0.95)]


def test_the_pareto_front_of_an_error_has_the_low_ones():
    figure = results.plot_tradeoff(run_of("normalized_mean_absolute_error", (0.3, 1.0), (0.4, 2.0), (0.1, 3.0)))
    assert front(figure) == [(1.0, 0.3), (3.0, 0.1)]
    assert "seconds" in figure.axes[0].get_xlabel()


def test_scores_mark_children_that_were_taken_over(bank_run):
    assert "taken over" not in legend(results.plot_scores(bank_run))
    run = run_of("accuracy", (0.9, 5.0), (0.8, 1.0))
    run.children[1].properties["nbhelpers.taken_over_from"] = "old_1"
    figure = results.plot_scores(run)
    assert "taken over" in legend(figure)
    marks = [line for line in figure.axes[0].lines if line.get_color() == "white"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in marks] == [([1], [0.8])]


def test_algorithms_are_a_row_each_with_their_scores_and_the_best_first(bank_run):
    axes = results.plot_algorithms(bank_run).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["LogisticRegression, 2 runs", "RandomForest, 1 run"]
    board = results.leaderboard(bank_run).dropna(subset=["AUC_weighted"])
    drawn = {tuple(line.get_xdata()) for line in axes.lines if line.get_marker() != "|"}
    assert drawn == {tuple(rows["AUC_weighted"]) for _, rows in board.groupby("algorithm")}
    assert "higher is better" in axes.figure.get_suptitle()


def test_algorithms_of_an_error_have_the_lowest_first():
    run = run_of("normalized_mean_absolute_error", (0.3, 1.0), (0.4, 2.0))
    run.children[0].properties["run_algorithm"] = "RandomForest"
    ticks = results.plot_algorithms(run).axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == ["RandomForest, 1 run", "LightGBM, 1 run"]


@pytest.mark.parametrize("plot", ["plot_algorithms", "plot_scores", "plot_tradeoff"])
def test_a_run_without_scores_is_refused(plot):
    with pytest.raises(UserErrorException, match="nothing to draw"):
        getattr(results, plot)(run_of("accuracy", ("", 1.0)))


def test_a_picture_is_the_same_every_time_and_in_a_dark_style(bank_run):
    once = png(results.plot_scores(bank_run))
    assert png(results.plot_scores(bank_run)) == once
    with plt.style.context("dark_background"):
        figure = results.plot_scores(bank_run)
    assert png(figure) == once


def test_pyplot_keeps_no_figure_that_a_notebook_would_show_twice(bank_run):
    results.plot_scores(bank_run)
    results.plot_tradeoff(bank_run)
    results.plot_algorithms(bank_run)
    assert plt.get_fignums() == []


def test_the_time_of_an_ensemble_holds_that_of_its_members():
    run = run_of("accuracy", (0.8, 1.0), (0.9, 2.0), (0.95, 0.5))
    run.children[2].properties |= {"ensembled_iterations": "[0, 1]", "ensemble_weights": "[0.5, 0.5]"}
    assert front(results.plot_tradeoff(run)) == [(1.0, 0.8), (2.0, 0.9), (3.5, 0.95)]


def test_members_are_bars_of_their_weights():
    run = run_of("accuracy", (0.8, 1.0), (0.9, 2.0), (0.95, 0.5))
    run.children[2].properties |= {"ensembled_iterations": "[0, 1]", "ensemble_weights": "[0.25, 0.75]"}
    (axes,) = results.plot_ensemble(run).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["1 LightGBM", "0 LightGBM"]
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25]


def test_without_members_or_their_weights_there_is_a_sentence(bank_run):
    assert "no ensemble" in results.plot_ensemble(bank_run).axes[0].texts[0].get_text()
    run = run_of("accuracy", (0.8, 1.0), (0.9, 2.0))
    run.children[1].properties["ensembled_iterations"] = "[0]"
    assert "does not tell the weights" in results.plot_ensemble(run).axes[0].texts[0].get_text()


def test_the_correlation_of_children_is_that_of_their_predictions(stored_bank, stored_houses):
    (axes,) = results.plot_correlation(stored_bank).axes
    order = [tick.get_text() for tick in axes.get_xticklabels()]
    assert order == [str(number) for number in results.leaderboard(stored_bank)["iteration"][:3]]
    best, second = (results.out_of_fold(stored_bank, int(number))["probability_yes"] for number in order[:2])
    assert axes.images[0].get_array()[0, 1] == pytest.approx(best.corr(second))
    assert results.plot_correlation(stored_houses).axes[0].images


def test_without_predictions_to_compare_there_is_a_sentence(bank_run, stored_bank):
    assert "has stored no predictions.npy" in results.plot_correlation(bank_run).axes[0].texts[0].get_text()
    lone = run_of("accuracy", (0.8, 1.0))
    lone.children[0].files = stored_bank.step.children[0].files
    assert "Fewer than two" in results.plot_correlation(lone).axes[0].texts[0].get_text()


def test_a_picture_says_in_words_what_it_shows(bank_run):
    best = results.leaderboard(bank_run).iloc[0]
    for plot in (results.plot_scores, results.plot_algorithms, results.plot_tradeoff):
        figure = plot(bank_run)
        assert repr(figure).startswith("AUC_weighted of")
        assert f"{best['AUC_weighted']:.4f}" in repr(figure)
        assert f'<img alt="{figure.alt}"' in figure._repr_html_()


def test_the_html_of_a_picture_holds_its_png_on_white_whatever_the_style(bank_run):
    figure = results.plot_scores(bank_run)
    with plt.style.context("dark_background"):
        page = figure._repr_html_()
    content = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1])
    assert plt.imread(io.BytesIO(content))[0, 0].tolist() == [1, 1, 1, 1]


def test_words_of_a_picture_cannot_break_its_html():
    run = run_of("accuracy", (0.9, 1.0))
    run.children[0].properties["run_algorithm"] = '"><script>'
    assert '"><script>' not in results.plot_algorithms(run)._repr_html_()


def test_sixty_four_names_have_looks_of_their_own_and_more_share_them():
    names = [f"{number:02}" for number in range(70)]
    assert len(set(looks(names[:64]).values())) == 64
    assert set(looks(names)) == set(names)


def test_long_names_are_cut_and_stay_different():
    assert short(["no", "yes"]) == ["no", "yes"]
    assert short(["x" * 40 + "1", "y"]) == ["x" * 15 + "…" + "x" * 13 + "1", "y"]
    assert short([f"Department of very long names: {k}" for k in "ab"]) == ["…a", "…b"]
    assert short([f"{k}{'x' * 20}{k + 2}{'x' * 20}{k}" for k in (1, 2)])[0].startswith("1x")
    same = [f"{'x' * 20}{k}{'x' * 20}" for k in "ab"] + ["short"]
    assert [name[:3] for name in short(same)] == ["1. ", "2. ", "3. "]


def test_letters_that_no_font_has_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png(draw_shares(["日本", "😀"], [1, 2], "Label", "rows"))


def test_confusion_matrix_of_many_classes_shows_the_most_frequent_ones():
    counts = np.diag(np.arange(1, 71))
    axes, bar = draw_confusion(counts, [f"class {k}" for k in range(70)]).axes
    assert "60 most frequent of 70 classes" in axes.get_title(loc="left")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"class {k}" for k in range(10, 70)]
    assert bar.get_yticklabels()[-1].get_text() == "100%"


def test_bars_of_many_classes_are_the_first_ones():
    figure = draw_shares([f"class {k}" for k in range(70)], [1] * 70, "Label", "rows")
    assert len(figure.axes[0].patches) == 30
    assert figure.axes[0].get_title(loc="left") == "Label, the first 30 of 70"
