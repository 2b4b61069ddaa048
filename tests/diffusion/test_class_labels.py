"""Class labels: nothing until trained, nothing where not told, and back from the file as they were."""

import pytest
import torch

from lib.diffusion.class_labels import ClassLabels, add_class_labels, load_class_labels, remove_class_labels, save_class_labels
from lib.training.seeds import torch_generator

LABELS, TONES = ["melanoma", "nevus"], ["1", "5", "V–VI"]


def predict(unet, class_labels=None):
    generator = torch_generator(0, "probe")
    noisy, words = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 16, 32, generator=generator)
    with torch.no_grad():
        return unet(noisy, torch.tensor([10, 900]), encoder_hidden_states=words, class_labels=class_labels, return_dict=False)[0]


def trained(unet):
    labels = add_class_labels(unet, LABELS, TONES)
    with torch.no_grad():
        for rows in labels.parameters():
            rows[1:].normal_(generator=torch_generator(0, "rows"))
    return labels


def test_untrained_or_not_told_they_change_no_bit_and_removed_nothing_is_left(tiny_pipeline):
    unet = tiny_pipeline.unet
    base = predict(unet)
    labels = add_class_labels(unet, LABELS, TONES)
    assert torch.equal(predict(unet, labels.numbers([("nevus", "5"), ("melanoma", None)])), base)
    labels = trained(unet)
    assert torch.equal(predict(unet, labels.numbers([(None, None), (None, None)])), base)
    assert not torch.equal(predict(unet, labels.numbers([("nevus", "5"), ("melanoma", None)])), base)
    remove_class_labels(unet)
    assert torch.equal(predict(unet), base)


def test_they_are_added_to_the_time_embedding(tiny_pipeline):
    unet = tiny_pipeline.unet
    labels = trained(unet)
    numbers = labels.numbers([("nevus", "V–VI"), ("melanoma", "1")])
    told, added = predict(unet, numbers), labels(numbers)
    remove_class_labels(unet)
    unet.time_embedding.register_forward_hook(lambda module, arguments, output: output + added)
    torch.testing.assert_close(predict(unet), told)


def test_numbers_are_by_name_and_each_pair_of_names_has_its_own(tiny_pipeline):
    labels = ClassLabels(LABELS, TONES, 4)
    assert labels.numbers([("melanoma", "1"), ("nevus", None), (None, "V–VI")]).tolist() == [[1, 1], [2, 0], [0, 3]]
    with pytest.raises(ValueError, match="tone '6' was not trained; trained are 1, 5, V–VI"):
        labels.numbers([("nevus", "6")])
    with pytest.raises(ValueError, match="label 'wart' was not trained; trained are melanoma, nevus"):
        labels.numbers([("wart", "1")])


def test_the_rows_for_not_told_never_train():
    labels = ClassLabels(LABELS, TONES, 4)
    optimizer = torch.optim.AdamW(labels.parameters(), lr=0.1, weight_decay=0.1)
    (labels(labels.numbers([(None, None), ("nevus", None)])) - 1).square().sum().backward()
    optimizer.step()
    assert not labels.label_rows.weight[0].any() and not labels.tone_rows.weight.any()
    assert labels.label_rows.weight[2].all()


def test_they_come_back_from_their_file(tiny_pipeline, tmp_path):
    labels = trained(tiny_pipeline.unet)
    numbers = labels.numbers([("nevus", "V–VI"), ("melanoma", "1")])
    told = predict(tiny_pipeline.unet, numbers)
    save_class_labels(labels, tmp_path / "class_labels.safetensors")
    again = load_class_labels(tiny_pipeline.unet, tmp_path / "class_labels.safetensors")
    assert again is not labels and (again.labels, again.tones) == (tuple(LABELS), tuple(TONES))
    assert torch.equal(predict(tiny_pipeline.unet, numbers), told)


def test_rows_of_another_base_and_a_base_with_labels_of_its_own_are_refused(tiny_pipeline, tmp_path):
    save_class_labels(ClassLabels(LABELS, TONES, 4), tmp_path / "labels")
    with pytest.raises(ValueError, match="rows of 4 numbers, the base's UNet takes 64"):
        load_class_labels(tiny_pipeline.unet, tmp_path / "labels")
    tiny_pipeline.unet.class_embedding = torch.nn.Embedding(3, 64)
    with pytest.raises(ValueError, match="takes class labels of its own"):
        add_class_labels(tiny_pipeline.unet, LABELS, TONES)
