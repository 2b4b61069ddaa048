"""The networks a study may name, as a table; `lib/classify/models.py` builds them."""

from __future__ import annotations

from dataclasses import dataclass

from lib.names import look_up


@dataclass(frozen=True)
class Architecture:
    """One network."""

    meaning: str             # for tables and figures
    head:    str = ""        # torchvision: where its last linear layer lies
    weights: str = ""        # torchvision: the enum of its ImageNet weights; empty: there are none


ARCHITECTURES: dict[str, Architecture] = {
    "small_cnn":          Architecture("residual network of 0.3 million weights for 32–128 px"),
    "resnet18":           Architecture("ResNet-18 (He et al. 2016)",             head="fc",           weights="ResNet18_Weights"),
    "resnet50":           Architecture("ResNet-50 (He et al. 2016)",             head="fc",           weights="ResNet50_Weights"),
    "densenet121":        Architecture("DenseNet-121 (Huang et al. 2017)",       head="classifier",   weights="DenseNet121_Weights"),
    "efficientnet_b0":    Architecture("EfficientNet-B0 (Tan & Le 2019)",        head="classifier.1", weights="EfficientNet_B0_Weights"),
    "mobilenet_v3_large": Architecture("MobileNetV3-Large (Howard et al. 2019)", head="classifier.3", weights="MobileNet_V3_Large_Weights"),
}


def find_architecture(name: str) -> Architecture:
    """The network called `name`. ValueError lists the known ones."""
    return look_up("network", name, ARCHITECTURES)
