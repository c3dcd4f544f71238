"""What the screen shows of a search fits into a line of 80 columns."""

import io

from rich.console import Console

from runner.config.search import Search
from runner.search.plan import plan_of
from runner.search.record import Decision, Record, Trial
from runner.search.telling import Teller
from runner.training.progress import Whole


def test_the_line_of_a_search_is_whole_at_80_columns() -> None:
    space = {"optimizer.lr": {"log": [1e-4, 1.0]}}
    search = Search.model_validate({"space": space, "trials": 400, "stop": "hyperband"})
    trials = [Trial(bracket=0, draw={"optimizer.lr": 0.1}, runs=["x"])]
    decision = Decision(bracket=0, epoch=1, values={0: 0.123456}, kept=[0])
    record = Record(
        command="", search=search, seed=0, epochs=243, experiment="", given={}, optuna=None,
        trials=trials, decisions=[decision],
    )  # fmt: skip
    teller = Teller(plan_of(search, 243, {}))
    teller.begun -= 7000  # seconds
    headline = teller.headline(record, 0, 243, 243, 2000)
    line = Whole(243, shown=False, told=True)
    line.begin(headline, 243, 0)
    line.progress.tasks[0].visible = True
    screen = io.StringIO()
    Console(width=80, file=screen).print(line.progress.make_tasks_table(line.progress.tasks))
    shown = screen.getvalue().splitlines()
    assert len(shown) == 1 and "…" not in shown[0]
    for part in ("bracket 1/6 to epoch 243: 243 trials", "best 0.1235", "min left", "0/243 runs"):
        assert part in shown[0]
