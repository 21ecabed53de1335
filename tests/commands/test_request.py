"""What a command line asks for, and every way in which it can be wrong; the messages are pinned."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gridrl.build import Reference
from gridrl.commands.known import KnownOptions
from gridrl.commands.options import LAUNCHER_OPTIONS, SHORTCUTS
from gridrl.commands.request import Key, Request, read_request
from gridrl.errors import BadValue, UnknownFlag

ENV = ("--env", "E-v0")


def values(known: KnownOptions, *words: str) -> dict[str, tuple[Any, ...]]:
    """The grid by key, without the environment that every request needs."""
    request = read_request([*ENV, *words], known)
    return {key.name: key.values for key in request.keys if key.name != "env_name"}


def told(known: KnownOptions, *words: str, env: Sequence[str] = ENV) -> list[str]:
    """The lines of the complaint."""
    with pytest.raises((BadValue, UnknownFlag)) as error:
        read_request([*env, *words], known)
    return str(error.value).splitlines()


def test_a_command_line_is_a_grid_in_its_own_order(known: KnownOptions) -> None:
    words = shlex.split("--gamma 0.9 0.99 --hid[h] [32,32] [64,32] --env CartPole-v1 --act torch.nn.Tanh --seed 0 10")
    assert read_request(words, known) == Request(
        (
            Key("gamma", (0.9, 0.99)),
            Key("ac_kwargs:hidden_sizes", ([32, 32], [64, 32]), "h"),
            Key("env_name", ("CartPole-v1",), "env"),
            Key("ac_kwargs:activation", (Reference("torch.nn.Tanh"),), "act"),
            Key("seed", (0, 10)),
        )
    )


def test_launcher_options_are_set_apart(known: KnownOptions) -> None:
    words = shlex.split("--cpu 2 --jobs 3 --data-dir 7 --exp-name 1-2 --dt --dry-run --log tensorboard wandb")
    assert read_request([*ENV, *words], known).launch == {
        "num_cpu": 2,
        "jobs": 3,
        "data_dir": "7",
        "exp_name": "1-2",
        "datestamp": True,
        "dry_run": True,
        "log": ("tensorboard", "wandb"),
    }
    assert read_request([*ENV, "--cpu", "auto"], known).launch == {"num_cpu": "auto"}


def test_an_option_in_its_long_form_has_the_usual_shorthand(
    known: KnownOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert read_request([*ENV, "--ac_kwargs:hidden_sizes", "[3]"], known).keys[1].shorthand is None
    (tmp_path / "user_config.py").write_text("DEFAULT_SHORTHAND = False")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(tmp_path / "user_config.py"))
    assert read_request([*ENV, "--hid", "[3]"], known).keys[1].shorthand is None


def test_a_number_of_seeds_stands_for_the_seeds(known: KnownOptions) -> None:
    assert values(known, "--seeds", "3") == {"seed": (0, 1, 2)}
    assert values(known, "--seeds=1") == {"seed": (0,)}


def test_two_values_behind_a_list_option_are_two_lists(known: KnownOptions) -> None:
    assert values(known, "--hid[h]", "[32,32]", "[64,32]") == {"ac_kwargs:hidden_sizes": ([32, 32], [64, 32])}
    assert values(known, "--hid", "64,64", "32,") == {"ac_kwargs:hidden_sizes": ((64, 64), (32,))}


def test_an_option_without_a_value_is_true(known: KnownOptions) -> None:
    assert values(known, "--normalize") == {"normalize": (True,)}
    assert values(known, "--normalize", "true", "FALSE") == {"normalize": (True, False)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--gamma 1", 1),  # whole numbers are as good as 1.0, and stand in the name as typed
        ("--gamma -1e-3", -0.001),
        ("--epochs 1e3", 1000),  # a whole number, however it is written
        ("--device 123", "123"),
        ("--device json.dumps", "json.dumps"),
        ("--device 'cuda:0'", "cuda:0"),
        ("--device true", "true"),
        ("--kind cosine", "cosine"),
        ("--kind none", None),
        ("--minibatch none", None),
        ("--minibatch 64", 64),
        ("--schedule json.dumps", Reference("json.dumps")),
        ("--free anything", "anything"),
        ("--free {'a':[1]}", {"a": [1]}),
        ("--actor-critic json.JSONDecoder", Reference("json.JSONDecoder")),
    ],
)
def test_values_are_read_as_the_annotation_means_them(known: KnownOptions, words: str, expected: Any) -> None:
    ((read,),) = values(known, *words.split()).values()
    assert read == expected
    assert type(read) is type(expected)


def test_several_values_may_come_from_one_word(known: KnownOptions) -> None:
    assert values(known, "--gamma", "linspace(0,1,3)", "0.9") == {"gamma": (0.0, 0.5, 1.0, 0.9)}
    assert values(known, "--epochs", "linspace(0,10,3)") == {"epochs": (0, 5, 10)}


def test_a_no_before_an_option_that_is_true_or_false_turns_it_off(
    known: KnownOptions, known_of: Callable[[str], KnownOptions]
) -> None:
    assert values(known, "--no-normalize") == values(known, "--no_normalize") == {"normalize": (False,)}
    own = known_of("def f(noise: bool = True, no_noise: bool = False): ...")
    assert read_request(["--no-noise"], own).keys == (Key("no_noise", (True,)),)


def test_dicts_inside_keys_pass(known: KnownOptions) -> None:
    assert values(known, "--env_kwargs:gravity", "9.8") == {"env_kwargs:gravity": (9.8,)}
    assert values(known, "--free:a:b", "1") == {"free:a:b": (1,)}
    assert values(known, "--logger_kwargs:quiet") == {"logger_kwargs:quiet": (True,)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--hidd 3", "`--hidd`: train has no such option. Did you mean `--hid` (ac_kwargs:hidden_sizes)?"),
        ("--hidden_sizes 3", "`--hidden_sizes`: train has no such option. "
         "Did you mean `--hid` (ac_kwargs:hidden_sizes)?"),
        ("--gama 3", "`--gama`: train has no such option. Did you mean `--gamma`?"),
        ("--Gamma 3", "`--Gamma`: train has no such option. Did you mean `--gamma`?"),
        ("--ac_kwargs:hiden_sizes 3", "`--ac_kwargs:hiden_sizes`: train has no such option. "
         "Did you mean `--hid` (ac_kwargs:hidden_sizes)?"),
        ("--log_std 3", "`--log_std`: train has no such option. Did you mean `--ac_kwargs:log_std`?"),
        ("--data_dri x", "`--data_dri`: train has no such option. Did you mean `--data_dir`?"),
        ("--xyzzy 3", "`--xyzzy`: train has no such option."),
        ("--gamma:x 3", "`--gamma:x`: train has no such option. Did you mean `--gamma`?"),
        ("--only 3", "`--only`: train has no such option."),
        ("--grid x", "`--grid`: train has no such option."),
        ("--gamma abc", "`--gamma`: train wants float, got 'abc'."),
        ("--gamma torch.nn.ReLU", "`--gamma`: train wants float, got torch.nn.ReLU."),
        ("--gamma inf", "`--gamma`: train wants float, got 'inf'. Write 1e999 for infinity."),
        ("--gamma=-Infinity", "`--gamma`: train wants float, got '-Infinity'. Write -1e999 for infinity."),
        ("--gamma none", "`--gamma`: train wants float, got None."),
        ("--epochs 1.5", "`--epochs`: train wants int, got 1.5."),
        ("--epochs true", "`--epochs`: train wants int, got True."),
        ("--epochs", "`--epochs`: train wants int, but no value stands behind it."),
        ("--device", "`--device`: train wants str, but no value stands behind it."),
        ("--minibatch x", "`--minibatch`: train wants int or None, got 'x'."),
        ("--normalize 1", "`--normalize`: train wants bool, got 1."),
        ("--normalize yes", "`--normalize`: train wants bool, got 'yes'. Write true or false."),
        ("--kind cosin", "`--kind`: train wants 'linear' or 'cosine' or None, got 'cosin'. Did you mean 'cosine'?"),
        ("--pi_lr 1e-3,1e-4", "`--pi_lr`: train wants float, got (0.001, 0.0001). "
         "Several values are separated by spaces: `--pi_lr 1e-3 1e-4`."),
        ("--pi_lr [1e-3,1e-4]", "`--pi_lr`: train wants float, got [0.001, 0.0001]. "
         "Several values are separated by spaces: `--pi_lr 1e-3 1e-4`."),
        ("--hid 64", "`--hid`: train wants list of int, got 64. A list is written without spaces: `--hid [64]`."),
        ("--hid 64 64", "`--hid`: train wants list of int, got 64, 64. "
         "A list is written without spaces: `--hid [64,64]`."),
        ("--hid [64,a]", "`--hid`: train wants list of int, got '[64,a]'."),
        ("--hid [64.5]", "`--hid`: train wants list of int, got [64.5]."),
        ("--hid [64, 64]", "`--hid`: `[64,` and `64]` look like one list that the shell split at a space. "
         "Write `--hid [64,64]`."),
        ("--hid [64 32]", "`--hid`: `[64` and `32]` look like one list that the shell split at a space. "
         "Write `--hid [64,32]`."),
        ("--act relu", "`--act`: train wants function or None, got 'relu'. "
         "Write its dotted name, such as torch.nn.ReLU."),
        ("--act torhc.nn.ReLU", "`--act`: train wants function or None, got 'torhc.nn.ReLU'. "
         "There is no module 'torhc' on Python's path."),
        ("--ac_kwargs 3", "`--ac_kwargs`: train wants dict, got 3."),
        ("--gamma range(1,x)", "`--gamma`: `range(1,x)`: is not of the form range(first,end), range(end) or "
         "range(first,end,step) with whole numbers."),
        ("--gamma 0.9 0.9", "`--gamma`: 0.9 is given twice."),
        ("--hid [64,64] 64,64", "`--hid`: (64, 64) is given twice."),
        ("--free 64 64", "`--free`: 64 is given twice. A list is written without spaces: `--free [64,64]`."),
        ("--free a a", "`--free`: 'a' is given twice."),
        ("--gamma 0.9 --gamma 0.8", "`--gamma`: is given twice. Several values stand behind one option."),
        ("--hid [3] --ac_kwargs:hidden_sizes [4]", "`--hid` and `--ac_kwargs:hidden_sizes` are the same option. "
         "Several values stand behind one option."),
        ("--pi_lr 1e-3 --pi-lr 1e-4", "`--pi_lr` and `--pi-lr` are the same option. "
         "Several values stand behind one option."),
        ("--seeds 2 --seed 0", "`--seeds` and `--seed` are the same option. Several values stand behind one option."),
        ("--jobs 2 --jobs 3", "`--jobs`: is given twice."),
        ("--seeds x", "`--seeds`: wants one number of seeds, such as `--seeds 5` for 0 to 4."),
        ("--seeds 0", "`--seeds`: wants one number of seeds, such as `--seeds 5` for 0 to 4."),
        ("--seeds 1 2", "`--seeds`: wants one number of seeds, such as `--seeds 5` for 0 to 4."),
        ("--seeds", "`--seeds`: wants one number of seeds, such as `--seeds 5` for 0 to 4."),
        ("--seed 1.5", "`--seed`: train wants int, got 1.5."),
        ("--jobs 1 2", "`--jobs`: takes one value, got 2: 1, 2."),
        ("--jobs 0", "`--jobs`: wants at least 1, got 0."),
        ("--cpu atuo", "`--cpu`: train wants int or 'auto', got 'atuo'. Did you mean 'auto'?"),
        ("--exp_name=", "`--exp_name`: is empty."),
        ("--exp_name", "`--exp_name`: train wants str, but no value stands behind it."),
        ("--logger_kwargs:output_dir x", "`--logger_kwargs:output_dir`: the launcher sets this. Use `--data_dir`."),
        ("--logger_kwargs:exp_name x", "`--logger_kwargs:exp_name`: the launcher sets this. Use `--exp_name`."),
        ("--logger_kwargs {}", "`--logger_kwargs`: the launcher sets this. Use `--data_dir`."),
        ("--no-normalize x", "`--no-normalize`: takes no value; it stands for `--normalize false`."),
        ("--no-normalize --normalize", "`--no-normalize` and `--normalize` are the same option. "
         "Several values stand behind one option."),
        ("--no-gamma", "`--no-gamma`: train has no such option. Did you mean `--gamma`?"),
        ("--logger_kwargs:quite", "`--logger_kwargs:quite`: train has no such option. "
         "Did you mean `--logger_kwargs:quiet`?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(known: KnownOptions, words: str, message: str) -> None:
    assert told(known, *words.split()) == [message]


def test_all_faults_are_told_at_once(known: KnownOptions) -> None:
    assert told(known, *shlex.split("--gamma abc --epochs 1.5 --xyzzy 1 --jobs 0 -x"), env=()) == [
        "`-x`: options have two dashes: `--x`.",
        "`--gamma`: train wants float, got 'abc'.",
        "`--epochs`: train wants int, got 1.5.",
        "`--xyzzy`: train has no such option.",
        "`--jobs`: wants at least 1, got 0.",
        "`--env` is missing: train needs an environment, such as `--env CartPole-v1`.",
    ]


def test_a_long_value_is_cut_in_the_message(known: KnownOptions) -> None:
    (line,) = told(known, "--gamma", "x" * 200)
    assert line == f"`--gamma`: train wants float, got '{'x' * 56}...."


def test_an_unknown_option_is_an_unknown_flag_and_a_wrong_value_a_bad_value(known: KnownOptions) -> None:
    with pytest.raises(UnknownFlag):
        read_request([*ENV, "--xyzzy", "--gamma", "abc"], known)
    with pytest.raises(BadValue):
        read_request([*ENV, "--gamma", "abc"], known)


def test_other_networks_may_take_other_options(known: KnownOptions) -> None:
    words = shlex.split("--actor_critic json.JSONDecoder --ac_kwargs:strict false")
    assert values(known, *words)["ac_kwargs:strict"] == (False,)


def test_the_keys_of_a_whole_dict_are_checked_too(known: KnownOptions) -> None:
    assert told(known, "--ac_kwargs", "{'hiden_sizes':[3],'log_std':'x'}") == [
        "`--ac_kwargs:hiden_sizes`: train has no such option. Did you mean `--hid` (ac_kwargs:hidden_sizes)?",
        "`--ac_kwargs:log_std`: train wants float, got 'x'.",
    ]
    assert values(known, "--ac_kwargs", "{'hidden_sizes':[3]}") == {"ac_kwargs": ({"hidden_sizes": [3]},)}


def test_a_parameter_without_a_default_is_needed(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(lr: float, seed, logger_kwargs, note=None): ...")
    assert told(known, env=()) == ["`--lr` is missing: f needs it (float)."]
    assert read_request(["--lr", "1", "2"], known).keys == (Key("lr", (1, 2)),)


def test_a_function_without_an_environment_takes_none(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(lr=1): ...")
    assert told(known) == ["`--env`: f has no such option. f takes neither env_fn nor env_name."]


def test_a_function_of_the_environments_name_gets_it(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(env_name: str, lr=1): ...")
    assert told(known, env=()) == ["`--env` is missing: f needs an environment, such as `--env CartPole-v1`."]
    assert values(known) == {}


def test_a_function_of_any_keywords_takes_any(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(**settings): ...")
    assert values(known, "--anything:at:all", "1") == {"anything:at:all": (1,)}


def test_the_environment_may_be_a_function_of_the_users(known: KnownOptions) -> None:
    assert read_request(["--env_fn", "json.loads"], known).keys == (Key("env_fn", (Reference("json.loads"),)),)


def test_a_clash_with_a_launcher_option_is_told_where_it_is_used(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(jobs: int = 1, lr=1): ...")
    assert told(known, "--jobs", "2", env=()) == [
        "`--jobs`: is a parameter of f, and an option of gridrl. Rename the parameter."
    ]
    assert read_request(["--lr", "2"], known).keys == (Key("lr", (2,)),)


def test_a_parameter_with_the_name_of_a_shortcut_is_meant_itself(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(hid=3): ...")
    assert read_request(["--hid", "4"], known).keys == (Key("hid", (4,)),)


def test_a_parameter_that_a_shortcut_hides_is_told(known_of: Callable[[str], KnownOptions]) -> None:
    known = known_of("def f(env_fn, env=3): ...")
    assert told(known, "--env", "4", env=()) == [
        "`--env`: is a parameter of f, and gridrl's short form of `--env_name`. Rename the parameter.",
        "`--env` is missing: f needs an environment, such as `--env CartPole-v1`.",
    ]


def test_the_two_tables_share_no_name() -> None:
    assert not SHORTCUTS.keys() & LAUNCHER_OPTIONS.keys()
    assert {long.partition(":")[0] for long in SHORTCUTS.values()} <= {*LAUNCHER_OPTIONS, "env_name", "ac_kwargs"}
