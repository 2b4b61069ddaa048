"""Put studies' results into README.md, so that no figure there is typed: `python -m lib.workflow.readme demo rare_lesion_small …`.

Between `<!-- results:NAME -->` and `<!-- end -->` stands what `outputs/NAME` says, with NAME/STAGE what that stage alone says; the demo's
pictures go to `lib/assets/readme`.
Pictures are copied from phantom studies only: data sets' images are not ours to publish.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from lib.files import write_atomically
from lib.study import ROOT
from lib.workflow.keys import read_json
from lib.workflow.plan import outputs_root

PICTURES = {"01_eda": "pictures", "09_statistics": "arms"}              # stage → figure
# a study's results are those of the first of these that it ran
ANSWERS  = ("09_statistics", "11_generator_truth", "10_benchmarks", "12_set_distance", "13_null_truth")
FINDINGS = 3                                                            # notebooks put the most important ones first
ASSETS = ROOT / "lib" / "assets" / "readme"


def results_block(name: str) -> str:
    """Verdicts (or findings) and headline tables of a finished study, or study/stage, as Markdown. ValueError when it has not run."""
    study, _, stage = name.partition("/")
    folders = [outputs_root() / study / one for one in ([stage] if stage else ANSWERS)]
    folder = next((folder for folder in folders if (folder / "provenance.json").is_file()), folders[0])
    metrics, origin = read_json(folder / "metrics.json"), read_json(folder / "provenance.json")
    if not metrics or not origin:
        raise ValueError(f"{name} has no results under {folder}; run it first: python run_all.py params/{study}.yaml")
    if stage and "answer" not in metrics:
        raise ValueError(f"{stage} of {study} has nothing to put into a README by itself; name the study alone")
    if stage:
        metrics = metrics["answer"]
    said = [verdict["sentence"] for verdict in metrics["verdicts"]] if "verdicts" in metrics else metrics["findings"][:FINDINGS]
    lines = ["\n>\n".join(f"> {_plain(sentence)}" for sentence in said), ""]
    for headline in metrics["headlines"] if "headlines" in metrics else [metrics["headline"]]:
        lines += _table(headline)
    return "\n".join([*lines, f"From `outputs/{study}/{folder.name}/metrics.json`, code {origin['commit']}, {origin['device']}."])


def put(text: str, study: str, block: str) -> str:
    """`text` with the block of `study` replaced. ValueError when it has no such place."""
    pattern = re.compile(rf"(<!-- results:{re.escape(study)} -->\n).*?(<!-- end -->)", re.S)
    if not pattern.search(text):
        raise ValueError(f"README.md has no place for {study}: <!-- results:{study} --> … <!-- end -->")
    return pattern.sub(lambda found: f"{found[1]}{block}\n{found[2]}", text)


def main(studies: list[str], readme: Path = ROOT / "README.md") -> int:
    """Rewrite the README for each study named."""
    text = readme.read_text(encoding="utf-8")
    try:
        for study in studies:
            text = put(text, study, results_block(study))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    write_atomically(readme, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    if "demo" in studies:
        ASSETS.mkdir(parents=True, exist_ok=True)
        for stage, figure in PICTURES.items():
            shutil.copyfile(outputs_root() / "demo" / stage / "figures" / f"{figure}.png", ASSETS / f"{figure}.png")
    return 0


def _table(headline: dict) -> list[str]:
    interval = f" ({_plain(headline['interval'])})" if headline["interval"] else ""
    return [
        f"{_plain(headline['caption'])}{interval}:", "",
        "| " + " | ".join(map(_plain, headline["columns"])) + " |",
        "|" + "---|" * len(headline["columns"]),
        *("| " + " | ".join(map(_plain, row)) + " |" for row in headline["rows"]), "",
    ]


def _plain(text: object) -> str:
    """One line that cannot open a table cell or a tag."""
    return " ".join(str(text).split()).replace("|", "∣").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
