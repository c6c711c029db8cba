"""Grid files that must be refused, and what the message must say. Families: the toy plug-in."""

from __future__ import annotations

HEAD = "name: bad\ngroups:\n"
SET = "{model: noop, dataset: toy, budget.samples: 640}"


def group(more: str = "", *, fields: str = "", name: str = "g", family: str = "toy", whole: str = "") -> str:
    """A group as YAML: line 1 is its name, 2 its family, 3 its ``set``, 4 and on what ``more`` adds."""
    given = whole or SET[:-1] + (f", {fields}" if fields else "") + "}"
    lines = [f"name: {name}", f"family: {family}", f"set: {given}", *more.splitlines()]
    return "".join(f"{'  - ' if i == 0 else '    '}{line}\n" for i, line in enumerate(lines))


def one(more: str = "", **kwargs: str) -> str:
    """A file of one group: ``set`` stands on line 5, ``more`` from line 6 on."""
    return HEAD + group(more, **kwargs)


def picture(fields: str, more: str = "") -> str:
    """A file of one group of classifiers: ``set`` stands on line 5, ``more`` from line 6 on."""
    return one(more, family="classifier", whole=f"{{model: mlp, dataset: digits, budget.samples: 640, {fields}}}")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
MERGE_BOMB = "a: &a {k: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}], {new}: 1}}\n"
    for old, new in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)

#: (name, text of the file, what the message must contain). ``:5:`` is the line that must be named.
CASES: list[tuple[str, str, tuple[str, ...]]] = [
    # The file as YAML
    ("empty", "", (":1:", "empty", "'name' and 'groups'")),
    ("comment_only", "# nothing\n", (":1:", "empty")),
    ("a_list", "- name: x\n", (":1:", "mapping with 'name' and 'groups'")),
    ("a_scalar", "hello\n", (":1:", "mapping")),
    ("not_yaml", "name: [x\ngroups: y\n", ("not valid YAML",)),
    ("tab", "name: x\ngroups:\n\t- name: g\n", (":3:", "not valid YAML")),
    ("nul_byte", "name: x\ngroups: \0\n", (":2:", "'\\x00'", "plain UTF-8 text")),
    ("escaped_nul", 'name: x\nabout: "a\\0b"\ngroups: []\n', (":2:", "'\\x00'", "not allowed")),
    ("surrogate", 'name: x\nabout: "\\ud800"\ngroups: []\n', (":2:", "'\\ud800'", "not allowed")),
    ("two_documents", one() + "---\nname: y\n", (":6:", "not valid YAML", "expected a single document")),
    ("duplicate_key", "name: x\nname: y\ngroups: []\n", (":2:", "'name' is given twice", "line 1")),
    ("duplicate_inner", one("grid: {seed: [0], seed: [1]}"), (":6:", "'seed' is given twice", "line 6")),
    ("duplicate_merge", one("grid:\n  <<: {}\n  <<: {}"), (":8:", "'<<' is given twice")),
    ("tag", "name: !!python/object:os.system x\ngroups: []\n", (":1:", "tag", "not allowed")),
    ("tag_on_list", "name: x\ngroups: !!set {a, b}\n", (":2:", "tag", "not allowed")),
    ("own_tag", one("grid: {seed: !range [0, 3]}"), (":6:", "'!range'", "not allowed")),
    ("binary_tag", "name: !!binary aGk=\ngroups: []\n", (":1:", "tag", "not allowed")),
    ("key_is_list", "name: x\n? [a]\n: b\n", (":2:", "plain name")),
    ("unknown_alias", "name: *x\ngroups: []\n", (":1:", "not valid YAML", "alias")),
    ("alias_bomb", BOMB, ("unfolds into more than",)),
    ("merge_bomb", MERGE_BOMB, ("unknown key",)),
    ("alias_of_itself", "name: x\ngroups: &a [*a]\n", (":2:", "nested more than")),
    ("merge_of_itself", "name: x\ngroups: &a {<<: *a}\n", (":2:", "circle")),
    ("merge_of_scalar", "name: x\ngroups: {<<: 5}\n", (":2:", "'<<' merges a mapping")),
    ("deep", "name: " + "[" * 3000 + "]" * 3000 + "\n", (":1:", "nested more than")),
    ("many_digits", one(fields="seed: " + "9" * 5000), (":5:", "not a number that can be read")),
    # The file as a grid
    ("no_name", "groups:\n" + group(), (":1:", "'name' is missing")),
    ("no_groups", "name: x\n", (":1:", "'groups' is missing")),
    ("groups_empty", "name: x\ngroups: []\n", (":2:", "groups = []", "at least 1")),
    ("groups_mapping", "name: x\ngroups: {name: g}\n", (":2:", "groups", "a list is expected")),
    ("group_scalar", "name: x\ngroups: [g]\n", (":2:", "groups[0] = 'g'", "a mapping is expected")),
    ("unknown_top_key", "nmae: x\n" + one(), (":1:", "unknown key 'nmae'", "did you mean 'name'?", "Allowed: about")),
    ("unknown_group_key", one("gird: {seed: [0]}"), (":6:", "unknown key 'gird'", "did you mean 'grid'?")),
    ("name_number", "name: 5\ngroups:\n" + group(), (":1:", "name = 5", "text is expected")),
    ("name_spaces", "name: a b\ngroups:\n" + group(), (":1:", "name = 'a b'", "1 to 64 letters")),
    ("name_newline", 'name: "a\\n"\ngroups:\n' + group(), (":1:", "1 to 64 letters")),
    ("name_empty", 'name: ""\ngroups:\n' + group(), (":1:", "1 to 64 letters")),
    ("no_family", "name: x\ngroups:\n  - name: g\n    set: {}\n", (":3:", "'family' is missing")),
    ("unknown_family", one(family="toi"), (":4:", "unknown trainer 'toi'", "did you mean 'toy'?")),
    ("duplicate_group", HEAD + group() + group(), (":6:", "'g' is given twice", ":3")),
    ("set_list", one(whole="[model, noop]"), (":5:", "set = ['model', 'noop']", "a mapping is expected")),
    ("grid_list", one("grid: [seed]"), (":6:", "grid", "a mapping is expected")),
    ("axis_scalar", one("grid: {seed: 0}"), (":6:", "seed = 0", "a list is expected")),
    ("axis_nested", one("grid: {noise: {ratio: [0, 1]}}"), (":6:", "noise", "a list is expected")),
    ("zip_scalar", one("zip: 5"), (":6:", "zip = 5")),
    ("resources_unknown", one("resources: {cpus: 1}"), (":6:", "unknown key 'cpus'", "did you mean 'cpu'?")),
    ("resources_zero", one("resources: {cpu: 0}"), (":6:", "cpu = 0", "above 0")),
    ("resources_text", one('resources: {cpu: "2"}'), (":6:", "cpu = '2'", "a number")),
    (
        "resources_gpu",
        one("resources: {gpu: some}"),
        (":6:", "'auto' is expected; or a number"),
    ),
    ("resources_part_gpus", one("resources: {gpu: 1.5}"), (":6:", "gpu", "1.5", "whole ones")),
    ("resources_tiny", one("resources: {gpu: 0.00001}"), (":6:", "gpu", "1/10,000")),
    ("resources_digits", one("resources: {cpu: 0.33333}"), (":6:", "cpu", "1/10,000")),
    ("resources_infinite", one("resources: {cpu: .inf}"), (":6:", "cpu = inf", "finite")),
    # Fields
    ("unknown_field", one(fields="sead: 0"), (":5:", "unknown key 'sead'", "did you mean 'seed'?", "Allowed: batch.m")),
    ("unknown_section", one(fields="nosie: {}"), (":5:", "unknown key 'nosie'", "did you mean 'noise.")),
    ("section_alone", one(fields="noise: 0.5"), (":5:", "unknown key 'noise'", "did you mean 'noise.")),
    ("field_without_section", one(fields="ratio: 1"), (":5:", "unknown key 'ratio'", "did you mean 'noise.ratio'?")),
    ("family_in_set", one(fields="family: toy"), (":5:", "unknown key 'family'")),
    ("needs_in_set", one(fields="needs: {judge: abc}"), (":5:", "unknown key 'needs")),
    ("unknown_axis", one("grid: {noise.ration: [1]}"), (":6:", "'noise.ration'", "did you mean 'noise.ratio'?")),
    ("missing_model", one(whole="{dataset: toy, budget.samples: 1}"), (":3:", "'model' is missing", "grid or zip")),
    ("missing_samples", one(whole="{dataset: toy, model: noop}"), (":3:", "'budget.samples' is missing")),
    ("axis_model", one("grid: {model: [noop, nop]}", whole="{dataset: toy, budget.samples: 1}"), (":6:", "'nop'")),
    (
        "model_typo",
        one(whole="{model: nop, dataset: toy, budget.samples: 1}"),
        (":5:", "'nop'", "did you mean 'noop'?"),
    ),
    ("unknown_dataset", one(whole="{model: noop, dataset: tooy, budget.samples: 1}"), (":5:", "'tooy'", "'toy'?")),
    ("dataset_kind", one(whole="{model: noop, dataset: digits, budget.samples: 1}"), (":5:", "needs toy", "'digits'")),
    ("unknown_law", one(fields="noise.law: nxt_class, noise.ratio: 1"), (":5:", "'nxt_class'", "'next_class'?")),
    ("unknown_law_clean", one(fields="noise.law: nxt_class"), (":5:", "unknown noise law 'nxt_class'")),
    (
        "refresh_typo",
        one(fields="noise.refresh: frosen"),
        (":5:", "'frosen'", "did you mean 'frozen'?"),
    ),
    ("ratio_negative", one(fields="noise.ratio: -0.1"), (":5:", "noise.ratio = -0.1", "0 or more")),
    ("ratio_text", one(fields="noise.ratio: half"), (":5:", "noise.ratio = 'half'", "1/3")),
    ("ratio_bool", one(fields="noise.ratio: true"), (":5:", "noise.ratio = True", "1/3")),
    ("ratio_null", one(fields="noise.ratio: null"), (":5:", "noise.ratio = None", "1/3")),
    ("ratio_nan", one(fields="noise.ratio: .nan"), (":5:", "noise.ratio = nan", "finite")),
    ("ratio_infinite", one(fields="noise.ratio: 1e999"), (":5:", "noise.ratio = inf", "finite")),
    ("ratio_of_nothing", one(fields="noise.ratio: 1/0"), (":5:", "noise.ratio = '1/0'", "1/3")),
    ("ratio_huge", one(fields="noise.ratio: 10000000"), (":5:", "noise.ratio = 10000000", "at most 1,000,000")),
    ("ratio_gigabytes", one(fields='noise.ratio: "1e999999999"'), (":5:", "'1e999999999'", "1/3")),
    ("ratio_tiny", one(fields="noise.ratio: 1e-300"), (":5:", "noise.ratio = 1e-300", "too many decimals")),
    ("rate_one", one(fields="noise.rate: 1"), (":5:", "noise.rate = 1", "below 1")),
    ("rate_above", one("grid: {noise.rate: [0.5, 1.5]}"), (":6:", "noise.rate = 1.5", "below 1")),
    ("rate_negative", one(fields="noise.rate: -0.5"), (":5:", "noise.rate = -0.5", "at least 0")),
    ("rate_text", one(fields="noise.rate: x"), (":5:", "noise.rate = 'x'", "1/3")),
    ("rate_near_one", one(fields="noise.rate: 0.99999999"), (":5:", "noise.rate", "at most 1,000,000")),
    ("ratio_and_rate", one("grid: {noise.rate: [0.5]}", fields="noise.ratio: 1"), (":6:", "either noise.ratio or")),
    ("map_unasked", one(fields="noise.ratio: 1, noise.map: [1, 0]"), (":5:", "noise.map", "takes none")),
    ("map_missing", one(fields="noise.ratio: 1, noise.law: confusion"), (":5:", "confusion", "needs noise.map")),
    ("map_short", one(fields="noise: {ratio: 1, law: confusion, map: [1, 0]}"), (":5:", "map", "10")),
    ("map_range", one(fields="noise: {ratio: 1, law: confusion, map: [10" + ", 0" * 9 + "]}"), (":5:", "map", "10")),
    (
        "map_text",
        one(fields="noise: {ratio: 1, law: confusion, map: swap}"),
        (":5:", "'swap'", "a list is"),
    ),
    ("map_bool", one(fields="noise: {ratio: 1, law: confusion, map: [true]}"), (":5:", "noise.map = [True]")),
    ("seed_negative", one(fields="seed: -1"), (":5:", "seed = -1", "at least 0")),
    ("seed_text", one(fields='seed: "0"'), (":5:", "seed = '0'", "whole number")),
    ("seed_float", one(fields="seed: 1.0"), (":5:", "seed = 1.0", "whole number")),
    ("seed_huge", one(fields="seed: 4294967296"), (":5:", "seed = 4294967296", "4294967295")),
    ("seed_list", one(fields="seed: [0, 1]"), (":5:", "seed = [0, 1]", "whole number")),
    ("batch_zero", one(fields="batch.size: 0"), (":5:", "batch.size = 0", "above 0")),
    ("batch_float", one(fields="batch.size: 64.0"), (":5:", "batch.size = 64.0", "whole number")),
    ("batch_bool", one(fields="batch.size: true"), (":5:", "batch.size = True", "whole number")),
    ("multiplier_zero", one("grid: {batch.multiplier: [1, 0]}"), (":6:", "batch.multiplier = 0", "above 0")),
    ("multiplier_half", one("grid: {batch.multiplier: [0.5]}"), (":6:", "batch.multiplier = 0.5", "whole number")),
    ("budget_zero", one("grid: {budget.samples: [0]}", whole="{model: noop, dataset: toy}"), (":6:", "above 0")),
    ("budget_float", one("grid: {budget.samples: [1e5]}", whole="{model: noop, dataset: toy}"), (":6:", "100000.0")),
    ("budget_huge", one(whole="{model: noop, dataset: toy, budget.samples: 1000000000001}"), (":5:", "1000000000000")),
    ("rule_typo", one(fields="budget.rule: scale"), (":5:", "budget.rule = 'scale'", "'scaled' or 'fixed'")),
    ("reading_typo", one(fields="reading: papers"), (":5:", "reading = 'papers'", "'paper' or 'corrected'")),
    ("number_as_text", one(fields='learning_rate: "0.1"'), (":5:", "learning_rate = '0.1'", "a number")),
    ("number_as_bool", one(fields="learning_rate: true"), (":5:", "learning_rate = True", "a number")),
    ("number_infinite", one(fields="sleep_seconds: .inf"), (":5:", "sleep_seconds = inf", "finite")),
    ("number_huge", one(fields="sleep_seconds: 1" + "0" * 400), (":5:", "sleep_seconds = 1000", "a number")),
    ("number_bounds", one(fields="learning_rate: 2"), (":5:", "learning_rate = 2", "at most 1")),
    (
        "model_number",
        one(whole="{model: 5, dataset: toy, budget.samples: 1}"),
        (":5:", "model = 5", "text is"),
    ),
    ("family_check", one(fields="once: x"), (":5:", "once = 'x'", "give fail_at or kill_at")),
    ("section", picture("optimiser: {name: adamw, nesterov: true}"), (":5:", "optimiser.nesterov is for sgd")),
    ("section_type", picture("optimiser.nesterov: 1"), (":5:", "optimiser.nesterov = 1", "true or false")),
    (
        "whole_trial",
        picture("noise.ratio: 1", "grid: {evaluation.every_samples: [64, 100]}"),
        (":6: evaluation.every_samples is 100", "the nearest is 128"),
    ),
    ("section_as_value", picture("optimiser: 5"), (":5:", "unknown key 'optimiser'", "did you mean 'optimiser.name'?")),
    # Axes
    ("axis_empty", one("grid: {seed: []}"), (":6:", "'seed' is empty", "at least one value")),
    ("axis_twice", one("grid: {seed: [0, 1, 0]}"), (":6:", "seed = 0 twice")),
    ("axis_equal", one('grid: {noise.ratio: [0.5, "1/2"]}'), (":6:", "noise.ratio = '1/2' twice")),
    ("axis_in_set", one("grid: {seed: [1]}", fields="seed: 0"), (":6:", "'seed' is given twice", ":5")),
    ("set_both_ways", one(fields="noise.law: next_class, noise: {law: next_class}"), (":5:", "given twice")),
    ("grid_and_zip", one("grid: {seed: [1]}\nzip: [{seed: [2]}]"), (":7:", "'seed' is given twice", ":6")),
    (
        "zip_unequal",
        one("zip: {seed: [0, 1], batch.size: [1]}"),
        (":6:", "equal length; seed has 2, batch.size has 1"),
    ),
    ("zip_empty", one("zip: [{seed: [], batch.size: []}]"), (":6:", "empty")),
    ("zip_twice", one("zip: [{seed: [0, 0], batch.size: [8, 8]}]"), (":6:", "seed = 0, batch.size = 8 twice")),
    ("zip_unknown", one("zip: [{seed: [0]}, {sead: [0]}]"), (":6:", "unknown key 'sead'", "did you mean 'seed'?")),
    (
        "too_many_cells",
        one(
            f"grid: {{seed: {list(range(500))}, batch.size: {list(range(1, 501))}}}",
        ),
        (":3:", "250,000 cells", "at most 200,000"),
    ),
    # Conditions
    ("exclude_all", one("grid: {seed: [0, 1]}\nexclude: [{noise.ratio: 0}]"), (":3:", "'g' has no cell left")),
    ("when_none", one("when: [{seed: 7}]"), (":3:", "'g' has no cell left", "'when'")),
    ("exclude_mapping", one("exclude: {seed: 0}"), (":6:", "exclude", "a list is expected")),
    ("exclude_empty", one("exclude: [{}]"), (":6:", "empty condition fits every cell")),
    ("exclude_unknown", one("exclude: [{sed: 0}]"), (":6:", "unknown key 'sed'", "did you mean 'seed'?")),
    ("exclude_type", one('exclude: [{seed: "0"}]'), (":6:", "seed = '0'", "whole number")),
    ("exclude_bool", one("exclude: [{seed: true}]"), (":6:", "seed = True", "whole number")),
    ("exclude_ratio", one("exclude: [{noise.ratio: x}]"), (":6:", "noise.ratio = 'x'", "1/3")),
    ("exclude_rate", one("exclude: [{noise.rate: 1}]"), (":6:", "noise.rate = 1", "below 1")),
    ("exclude_law", one("exclude: [{noise.law: next_clas}]"), (":6:", "'next_clas'", "did you mean 'next_class'?")),
    ("when_model", one("when: [{model: nope}]"), (":6:", "unknown model 'nope'", "did you mean 'noop'?")),
    ("when_rule", one("when: [{budget.rule: [scaled, fix]}]"), (":6:", "budget.rule = 'fix'", "'scaled' or 'fixed'")),
    # Needs
    ("needs_no_group", one("needs: {judge: {group: h}}"), (":6:", "unknown group 'h'", "Allowed: g")),
    ("needs_group_missing", one("needs: {judge: {}}"), (":6:", "'group' is missing")),
    ("needs_itself", one("needs: {judge: {group: g}}"), (":6:", "circle: g -> g")),
    (
        "needs_circle",
        HEAD + group("needs: {judge: {group: b}}", name="a") + group("needs: {judge: {group: a}}", name="b"),
        (":10:", "circle: a -> b -> a"),
    ),
    ("needs_role", HEAD + group(name="a") + group("needs: {jugde: {group: a}}", name="b"), (":9:", "'judge'?")),
    (
        "needs_match_unknown",
        HEAD + group(name="a") + group("needs: {judge: {group: a, match: [sed]}}", name="b"),
        (":9:", "needs.judge.match", "unknown key 'sed'", "did you mean 'seed'?"),
    ),
    (
        "needs_where_unknown",
        HEAD + group(name="a") + group("needs: {judge: {group: a, where: {sed: 0}}}", name="b"),
        (":9:", "unknown key 'sed'", "did you mean 'seed'?"),
    ),
    (
        "needs_where_type",
        HEAD + group(name="a") + group("needs: {judge: {group: a, where: {seed: x}}}", name="b"),
        (":9:", "seed = 'x'", "whole number"),
    ),
    (
        "needs_many",
        HEAD + group("grid: {seed: [0, 1]}", name="a") + group("needs: {judge: {group: a}}", name="b"),
        (":10:", "2 trials of group 'a' fit", "no condition", "add keys"),
    ),
    (
        "needs_none",
        HEAD
        + group("grid: {seed: [0, 1]}", name="a")
        + group("grid: {seed: [2]}\nneeds: {judge: {group: a, match: [seed]}}", name="b"),
        (":11:", "no trial of group 'a' fits", "seed = 2", "widen that group"),
    ),
    ("needs_list", one("needs: [judge]"), (":6:", "needs", "a mapping is expected")),
]
