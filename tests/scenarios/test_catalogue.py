"""The catalogue: every name is there, can be used, explained, and put over a configuration."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sagemaker_bidi import Config
from sagemaker_bidi.commands.scenarios import register
from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi.contract.opening import EVENT_STREAM, read_invocation
from sagemaker_bidi.faults.kinds.close_container import CloseContainer
from sagemaker_bidi.faults.kinds.delay import Delay
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.faults.kinds.refuse import Refuse
from sagemaker_bidi.scenarios import GROUPS, Scenario, ScenarioError, scenario, scenarios
from sagemaker_bidi.scenarios.apply import apply
from sagemaker_bidi.scenarios.scenario import SAYS_THE_ANSWER
from sagemaker_bidi.scenarios.written import SYNTAX, is_file, option, written

# The names are part of the interface: they are listed here, not derived.
NAMES = {
    "opening": "upgrade-refused slow-accept label-missing ping-503 ping-slow throttled "
    "no-such-endpoint leading-slash bad-query bad-signature unknown-key expired-token "
    "access-denied clock-skew unavailable internal-error headers-never-sent port-443 "
    "sidecar-missing tls-untrusted alpn-http1",
    "streaming": "half-close-discards input-stream-broken model-stream-error "
    "container-close-1000 container-close-1001 container-close-1008 container-close-1009 "
    "container-close-1011 container-dies internal-stream-failure unknown-exception-type "
    "unmodelled-error unknown-event corrupt-crc truncated-event bad-chunk-signature "
    "credential-rotation binary-instead-of-text type-changes-mid-message oversize never-ends",
    "http2-tcp": "window-stall rst-stream-cancel rst-stream-internal-error "
    "rst-stream-refused-stream rst-stream-enhance-your-calm goaway tcp-reset tcp-blackhole "
    "slow-reader latency jitter bandwidth stream-starvation",
    "time": "missed-pongs thirty-minute-cap idle-silence sigterm-drain container-paused "
    "slow-start out-of-memory network-cut",
    "metadata": "metadata-required-refused metadata-dropped metadata-oversize "
    "metadata-duplicate-token",
    "vllm": "done-never-comes silent-stall blank-deltas engine-death keepalive-1011 "
    "commit-before-update final-without-start second-commit-ignored append-lost-after-done "
    "starved-session binary-frame-1006 engine-killed engine-hangs",
}
ON_AN_ENGINE = {
    "label-missing",
    "sigterm-drain",
    "container-paused",
    "slow-start",
    "out-of-memory",
    "network-cut",
    "engine-killed",
    "engine-hangs",
}


def usable() -> list[Scenario]:
    return [each for each in scenarios() if not each.needs]


@pytest.mark.parametrize("group", GROUPS)
def test_every_name_of_a_group_is_in_the_catalogue_and_no_other(group: str) -> None:
    assert {each.name for each in scenarios() if each.group == group} == set(NAMES[group].split())


@pytest.mark.parametrize("each", usable(), ids=lambda each: each.name)
def test_a_scenario_makes_a_plan_or_a_configuration(each: Scenario) -> None:
    config, plans = apply(Config(), [each.name])
    assert plans or config != Config()
    assert each.at_start == (config != Config())


@pytest.mark.parametrize("each", scenarios(), ids=lambda each: each.name)
def test_a_scenario_names_clauses_of_the_ledger(each: Scenario) -> None:
    assert set(each.clauses) <= set(ledger().ids)


def test_what_a_plan_cannot_reach_says_what_it_needs() -> None:
    assert {each.name for each in scenarios() if each.needs} == ON_AN_ENGINE
    with pytest.raises(ScenarioError, match="sigterm-drain needs a container engine"):
        scenario("sigterm-drain").plan()


def test_an_unknown_name_is_answered_with_the_closest_ones() -> None:
    with pytest.raises(ScenarioError, match="did you mean missed-pongs"):
        scenario("missed-pong")


def test_http2_codes_may_be_written_as_the_rfc_has_them() -> None:
    assert scenario("rst-stream-ENHANCE_YOUR_CALM") is scenario("rst-stream-enhance-your-calm")


def test_a_parameter_sets_the_value_that_it_stands_for() -> None:
    [rule] = scenario("container-dies").plan(after_parts=7).rules
    assert isinstance(rule.fault, KillContainer)
    assert rule.when.after == 7


def test_a_parameter_may_stand_for_several_values() -> None:
    faults = [rule.fault for rule in scenario("latency").plan(seconds=0.5).rules]
    assert [fault.seconds for fault in faults if isinstance(fault, Delay)] == [0.5, 0.5]


def test_a_parameter_changes_no_other_use_of_the_scenario() -> None:
    scenario("container-dies").plan(after_parts=7)
    assert scenario("container-dies").plan().rules[0].when.after == 20


def test_an_unknown_parameter_is_answered_with_those_there_are() -> None:
    with pytest.raises(ScenarioError, match=r"no parameter 'after'; it has: after_parts"):
        scenario("container-dies").plan(after=7)


def test_a_value_that_does_not_fit_names_the_field() -> None:
    with pytest.raises(ScenarioError, match=r"container-dies.*after"):
        scenario("container-dies").plan(after_parts="soon")


def test_apply_reads_parameters_behind_a_name() -> None:
    config, plans = apply(Config(), ["oversize:event_bytes=1000", "latency:seconds=0.5"])
    assert config.contract_settings().event_bytes == 1000
    assert [plan.name for plan in plans] == ["latency"]


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ("", {}),
        ("after_parts=3", {"after_parts": 3}),
        ("after_parts = 3 , reason = going away", {"after_parts": 3, "reason": "going away"}),
        (
            'reason="going away, soon",after_parts=3',
            {"reason": "going away, soon", "after_parts": 3},
        ),
        ("reason='a, \\ b'", {"reason": "a, \\ b"}),
        ('reason="say \\"no\\", \\u2026"', {"reason": 'say "no", …'}),
        ("reason=don't,after_parts=3", {"reason": "don't", "after_parts": 3}),
        ("reason=gone 🙂/soon", {"reason": "gone 🙂/soon"}),
        ("reason=", {"reason": ""}),
    ],
)
def test_parameters_behind_a_name_are_tomls_values_or_plain_text(
    given: str, parameters: dict[str, object]
) -> None:
    text = f"container-close-1011:{given}"
    assert not is_file(text)
    assert written(text).given == parameters


@pytest.mark.parametrize(
    "each", [each for each in usable() if each.parameters], ids=lambda each: each.name
)
def test_the_option_that_is_shown_gives_a_scenario_its_examples(each: Scenario) -> None:
    _, text = shlex.split(option(each))
    assert written(text).given == {p.name: p.example for p in each.parameters.values()}


def test_apply_takes_a_scenario_with_its_parameters_as_they_are() -> None:
    chosen = scenario("container-close-1011").with_parameters(reason="going away, soon 🙂")
    _, [plan] = apply(Config(), [chosen])
    fault = plan.rules[0].fault
    assert isinstance(fault, CloseContainer)
    assert fault.reason == "going away, soon 🙂"


def test_apply_keeps_what_the_configuration_says_otherwise() -> None:
    before = Config(port=0, contract={"accept_seconds": 9.0})
    config, _ = apply(before, ["oversize"])
    assert config.port == 0
    assert config.contract_settings().accept_seconds == 9.0


def test_apply_takes_a_plan_from_a_file_with_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[contract]\nlifetime = 5\n[[rules]]\ndo = "drop"\n')
    config, plans = apply(Config(), [str(path)])
    assert config.contract_settings().lifetime == 5
    assert [plan.name for plan in plans] == ["mine"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("nothing-like-it-xyz", "there is no scenario"),
        ("container-dies:after_parts", "write a parameter as container-dies:after_parts=VALUE"),
        ('container-close-1011:reason="gone, after_parts=3', "\"gone is no text of TOML's"),
        ("no/such/file.toml", "cannot be read"),
        ("oversize:event_bytes=-1", "event_bytes"),
    ],
)
def test_apply_says_what_does_not_fit(given: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        apply(Config(), [given])


def test_one_scenario_given_twice_is_refused() -> None:
    with pytest.raises(ScenarioError, match="given twice"):
        apply(Config(), ["container-dies", "container-dies"])


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("leading-slash", "x-amzn-sagemaker-model-invocation-path", "/v1/realtime"),
        ("bad-query", "x-amzn-sagemaker-model-query-string", "?model=voxtral"),
    ],
)
def test_a_scenario_for_a_clients_mistake_refuses_as_the_mistake_is_refused(
    name: str, header: str, value: str
) -> None:
    with pytest.raises(Refused) as real:
        read_invocation("voxtral", [("content-type", EVENT_STREAM), (header, value)])
    [rule] = scenario(name).plan().rules
    refuse, refusal = rule.fault, real.value.refusal
    assert isinstance(refuse, Refuse)
    assert (refuse.status, refuse.type, refuse.message) == (
        refusal.status,
        refusal.type,
        refusal.message,
    )
    assert dict(refusal.fields) == {"ErrorCode": refuse.error_code}


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    register(made)
    return made


def test_the_list_shows_every_name(app: typer.Typer) -> None:
    output = CliRunner().invoke(app, ["scenarios"]).output
    assert [each.name for each in scenarios() if each.name not in output] == []


def test_an_explanation_has_clauses_command_and_test_line(app: typer.Typer) -> None:
    output = CliRunner().invoke(app, ["scenario", "missed-pongs"]).output
    assert "K1  Pings to the container (documented)" in output
    assert "--scenario missed-pongs --time-scale 60\n" in output
    # Its five minutes pass in five seconds.
    assert '@pytest.mark.scenario("missed-pongs", time_scale=60)\n' in output


@pytest.mark.parametrize("each", usable(), ids=lambda each: each.name)
def test_a_test_line_is_python_and_a_mark_where_it_needs_a_start(each: Scenario) -> None:
    mark = each.test_line.startswith(f'@pytest.mark.scenario("{each.name}"')
    around = "{}\nasync def test(): pass" if mark else "async def test():\n {}\n  pass"
    compile(around.format(each.test_line), each.name, "exec")
    assert mark == (each.at_start or each.time_scale != 1)


def test_whatever_refuses_does_so_as_often_as_it_is_told() -> None:
    refusing = [
        each for each in usable() if {rule.when.point for rule in each.plan().rules} == {"opening"}
    ]
    assert len(refusing) > 10
    for each in refusing:
        assert {rule.when.sessions for rule in each.plan(times=2).rules} == {2}, each.name
        assert {rule.when.sessions for rule in each.plan().rules} == {None}, each.name


def test_an_explanation_shows_how_parameters_are_given(app: typer.Typer) -> None:
    output = CliRunner().invoke(app, ["scenario", "container-close-1011"]).output
    assert "--scenario 'container-close-1011:after_parts=20,reason=\"internal error\"'\n" in output
    assert SYNTAX in " ".join(output.split())
    assert "with parameters" not in CliRunner().invoke(app, ["scenario", "missed-pongs"]).output


def test_an_explanation_says_where_the_plan_answers_in_the_services_place(app: typer.Typer) -> None:
    def explained(name: str) -> str:
        return " ".join(CliRunner().invoke(app, ["scenario", name]).output.split())

    assert SAYS_THE_ANSWER in explained("access-denied")
    assert SAYS_THE_ANSWER not in explained("missed-pongs")


def test_an_explanation_of_an_unknown_name_is_a_usage_error(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["scenario", "mised-pongs"])
    assert result.exit_code == 2
    assert "did you mean missed-pongs" in result.output
