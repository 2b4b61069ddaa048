"""Cards: read back by the Hub's own library, their figures those of the tables, nothing in them acts as markup."""

import pandas as pd
import pytest
from huggingface_hub import DatasetCard, ModelCard

from lib.report.card_data import counts_table, describe_checks, describe_licences, licence_identifier, size_category, sources_table
from lib.report.cards import KINDS, STAGES, Made, cards, dataset_card, escape, model_card
from lib.study import PhantomOptions, Source

NASTY = "a|b <script> *x* [y](z) `c` & d"
PHANTOM = Source(dataset="phantom", name="clinic", phantom=PhantomOptions())
HAM = Source(dataset="ham10000")
DDI = Source(dataset="ddi", role="test_only")


def made(sources=(PHANTOM,), **more) -> Made:
    samples = pd.DataFrame({"dataset": ["clinic"] * 4, "label": ["nevus", NASTY, "nevus", "nevus"], "group": ["I–II", "V–VI", None, "I–II"],
                            "split": ["train", "train", "train", "test"]})
    synthetic = pd.DataFrame({
        "generator": ["diffusion"] * 3 + ["gan"], "label": ["nevus", NASTY, NASTY, "nevus"], "group": ["V–VI"] * 3 + [None],
        "accepted": [True, True, False, True], "scheduler": ["ddim"] * 3 + [None], "start": ["anchored"] * 3 + [None], "steps": 12,
        "guidance": 3.0, "strength": None, "dtype": "float32", "width": 64, "height": 64, "base_model": ["phantom-sd"] * 3 + ["wgan-gp"],
        "base_revision": None, "base_sha256": "b" * 64, "token_sha256": "t" * 64, "adapter_sha256": "a" * 64,
    })
    curated = pd.DataFrame({"generator": ["diffusion", "diffusion", "gan"], "label": ["nevus", NASTY, "nevus"],
                            "tone_key": ["5", "6", None], "verdict": ["passed", "blur", "passed"], "selected": [True, False, False]})
    metrics = {"03_lora": {"steps": {"trained": 160, "kept": 80}, "findings": [f"It ended: {NASTY}"]},
               "04_wgan_gp": {"generators": {"all classes": {"iterations": 300, "images": 3}}},
               "06_curation/diffusion": {"generator": "diffusion", "findings": ["nevus is blurred."]},
               "06_curation/gan": {"generator": "gan", "findings": ["nevus is not distinct."]}}
    given = {"study": "demo", "title": NASTY, "labels": ["nevus", NASTY], "groups": ["I–II", "V–VI"], "sources": list(sources),
             "samples": samples, "synthetic": synthetic, "curated": curated, "metrics": metrics, "commit": "abc"}
    return Made(**(given | more))


def sections(card: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in card.split("\n## ")[1:]}


def test_the_hub_reads_the_heads():
    head = ModelCard(model_card(made(), "diffusion")).data.to_dict()
    assert head["base_model"] == "phantom-sd" and head["library_name"] == "diffusers" and head["license"] == "apache-2.0"
    assert head["datasets"] == ["phantom"] and "lora" in head["tags"] and head["pipeline_tag"] == "text-to-image"
    assert "base_model" not in ModelCard(model_card(made(), "gan")).data.to_dict()
    head = DatasetCard(dataset_card(made())).data.to_dict()
    assert head["size_categories"] == ["n<1K"] and head["annotations_creators"] == ["machine-generated"]
    assert head["pretty_name"] == "demo: generated images" and head["task_categories"] == ["image-classification"]


def test_a_card_per_generator_and_one_for_the_images():
    assert list(cards(made())) == ["cards/diffusion/README.md", "cards/gan/README.md", "cards/images/README.md"]
    assert cards(made(synthetic=None)) == {}
    assert set(KINDS) == set(STAGES)


def test_a_model_card_says_what_the_tables_say():
    found = sections(model_card(made(), "diffusion"))
    assert list(found) == ["What this is", "Training images", "Training", "What it draws", "Intended use", "Not for", "Where it fails",
                           "Licence and limits", "Provenance"]
    assert "| nevus | 1 | 0 | 1 | 2 |" in found["Training images"] and "| clinic | Phantoms | development | Apache-2.0 | 3 | 1 |" in (
        found["Training images"])
    assert "160 steps trained, those of step 80 kept." in found["Training"] and "a" * 64 in found["What this is"]
    assert "* 2 images in 3 attempts, 64 × 64 pixels." in found["What it draws"]
    assert "Selected for training: 1 of 2." in found["What it draws"]
    assert "the checks refused 1 (50%): blur 1." in found["Where it fails"] and "nevus is blurred." in found["Where it fails"]
    assert "not distinct" not in found["Where it fails"]
    assert "nothing measured on them is a statement about people" in found["Where it fails"]
    gan = sections(model_card(made(), "gan"))
    assert "all classes: 300 iterations on 3 images." in gan["Training"] and "nevus is not distinct." in gan["Where it fails"]
    assert "No check looked at them." in model_card(made(curated=None), "gan")


def test_the_dataset_card_counts_accepted_images():
    found = sections(dataset_card(made()))
    assert found["What this is"].startswith("* 3 images drawn by diffusion and gan in the study demo.")
    assert "| nevus | 1 | 1 |" in found["Images by diffusion"] and "| all | 2 | 2 |" in found["Images by diffusion"]
    assert "| nevus | 1 | 1 |" in found["Images by gan"]


def test_names_never_act_as_markup():
    for card in cards(made()).values():
        body = card.split("\n---\n", 1)[1]
        assert "<script" not in body and "[y](z)" not in body and escape(NASTY) in body
        rows = [line for line in body.splitlines() if line.startswith("|")]
        assert rows and all(line.endswith("|") for line in rows)
    assert escape("a\nb | c_d") == "a b \\| c\\_d"


def test_licences():
    assert licence_identifier([PHANTOM], ["phantom-sd"]) == ("apache-2.0", None)
    assert licence_identifier([HAM], []) == ("cc-by-nc-4.0", None) == licence_identifier([HAM, DDI], [])     # a test set teaches nothing
    for sources, bases in (([HAM, PHANTOM], []), ([PHANTOM], ["stable-diffusion-v1-5/stable-diffusion-v1-5"])):
        identifier, name = licence_identifier(sources, bases)
        assert identifier == "other" and name
    said = " ".join(describe_licences([HAM, DDI, Source(dataset="image_folder"), Source(dataset="fitzpatrick17k")], ["someones/model"]))
    assert "HAM10000: CC BY-NC 4.0 (not for commercial use)." in said and "DDI" not in said and "someones/model has a licence" in said
    assert "(the licence is not stated: ask whoever owns the images)" in said
    assert "CC BY-NC-SA 3.0 (not for commercial use and to be passed on under the same licence only)" in said


def test_tables_behind_the_cards():
    one = made()
    counts = counts_table(one.samples, one.labels, one.groups)
    assert list(counts.columns) == ["label", "I–II", "V–VI", "no group", "all"] and list(counts["label"]) == ["nevus", NASTY, "all"]
    assert counts["all"].tolist() == [3, 1, 4]
    assert sources_table([PHANTOM, DDI], one.samples).to_dict("records")[1]["train"] == 0
    assert describe_checks(one.curated)[1] == f"In these cells less than half passed: {NASTY}, tone 6 (0%)."
    rated = describe_checks(one.curated.assign(human_realism=4.0))
    assert rated[-1] == "People rated them: human_realism."


@pytest.mark.parametrize(("images", "name"), [(999, "n<1K"), (1_000, "1K<n<10K"), (60_000, "10K<n<100K"), (20_000_000, "n>10M")])
def test_sizes(images, name):
    assert size_category(images) == name
