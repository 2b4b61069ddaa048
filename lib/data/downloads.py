"""Which files make up each data set, where they are published, and their hashes where these are known.

A hash stands here only where several independent records of the official file agree on it, or where the file itself was at hand.
Where none stands, the first download records it (see `lib.data.download`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """One file of a release."""

    name: str                       # under the data set's folder; a zip's contents land beside it, or in `into`
    url:  str
    hash: str | None = None         # "md5:…" or "sha256:…"
    size: int | None = None         # bytes, where known: for progress and for room on the disk
    into: str        = "."          # folder that a zip is unpacked into


_DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile/"
_MENDELEY = "https://data.mendeley.com/public-files/datasets/zr7vgbcyr2/files/{}/file_downloaded"
_ISIC = "https://isic-challenge-data.s3.amazonaws.com/"

FILES: dict[str, tuple[RemoteFile, ...]] = {
    "ham10000": (
        # Dataverse publishes an MD5 for the table as it converted it, not for the bytes of format=original.
        RemoteFile("HAM10000_metadata.csv", _DATAVERSE + "4338392?format=original"),
        RemoteFile("HAM10000_images_part_1.zip", _DATAVERSE + "3172585", "md5:4639bfa73ab251610530a97c898e6e46", 1_366_522_108,
                   "HAM10000_images_part_1"),
        RemoteFile("HAM10000_images_part_2.zip", _DATAVERSE + "3172584", "md5:da43d6cc50f6613013be07e8986b384b", 1_403_566_547,
                   "HAM10000_images_part_2"),
        RemoteFile("HAM10000_segmentations_lesion_tschandl.zip", _DATAVERSE + "3838943", "md5:6e8d252e09cfdb0189199f15985a5b84",
                   10_808_743),
    ),
    "pad_ufes_20": (
        RemoteFile("metadata.csv", _MENDELEY.format("fa850265-57da-48f0-ba3e-998b3e44b1f6"),
                   "sha256:14d145235cedb022548257acb0d84dcd949e2c916f65d2baa7c38ed5339e9527"),
        RemoteFile("imgs_part_1.zip", _MENDELEY.format("1cc2f71f-20a2-412d-b746-a9b9bc20c966"),
                   "sha256:0ab44f60938bf57445e12f518a8878954cc734e6b0aec6d01194e2d26b4b2dca", 1_245_184_680, "images"),
        RemoteFile("imgs_part_2.zip", _MENDELEY.format("559a60ed-5504-475d-996c-6a8bc253b5e7"),
                   "sha256:e2d9a3cbd58e823f5ae33163c48643e7d1b54ae3f9e145f01f8e9f16a363a60b", 1_126_646_990, "images"),
        RemoteFile("imgs_part_3.zip", _MENDELEY.format("34dcdf8e-e5f1-4b35-aa0b-5135051ff852"),
                   "sha256:ecc4ef10143a43e1d01cb736773148607a78b530417eb76f2c38ad24bf5d0d2c", 1_220_565_093, "images"),
    ),
    "fitzpatrick17k": (
        RemoteFile("fitzpatrick17k.csv", "https://raw.githubusercontent.com/mattgroh/fitzpatrick17k/main/fitzpatrick17k.csv",
                   "sha256:851dfaabf1791c2a8b1c2957619f3e0673cf0002f4ce924a5c02d185c7d4a1cd"),
    ),
    "isic_2019": (
        RemoteFile("ISIC_2019_Training_GroundTruth.csv", _ISIC + "2019/ISIC_2019_Training_GroundTruth.csv"),
        RemoteFile("ISIC_2019_Training_Metadata.csv", _ISIC + "2019/ISIC_2019_Training_Metadata.csv"),
        RemoteFile("ISIC_2019_Training_Input.zip", _ISIC + "2019/ISIC_2019_Training_Input.zip"),
    ),
    "isic_2020": (
        RemoteFile("ISIC_2020_Training_GroundTruth_v2.csv", _ISIC + "2020/ISIC_2020_Training_GroundTruth_v2.csv"),
        RemoteFile("ISIC_2020_Training_Duplicates.csv", _ISIC + "2020/ISIC_2020_Training_Duplicates.csv"),
        RemoteFile("ISIC_2020_Training_JPEG.zip", _ISIC + "2020/ISIC_2020_Training_JPEG.zip"),
    ),
}

# What a person has to do where a data set cannot simply be fetched, or where fetching leaves something to do.
STEPS: dict[str, tuple[str, ...]] = {
    "ddi": (
        "Open https://stanfordaimi.azurewebsites.net/datasets/35866158-8196-48d8-87bf-50dca81df965 and sign in.",
        "Read and accept the Research Use Agreement; it forbids passing the images or the link on.",
        "Download the archive and unpack it, so that ddi_metadata.csv and the images lie in the folder named above.",
    ),
    "bcn20000": (
        "Open https://api.isic-archive.com/collections/249/ and read the licence of the collection.",
        "Download its metadata (CSV) and its images (zip) from that page; the archive makes a link for you that soon expires.",
        "Put both into the folder named above and unpack the zip there.",
    ),
    "fitzpatrick17k": (
        "The release holds addresses, not images. Many of these no longer answer.",
        "Ask the authors for the images with the form that github.com/mattgroh/fitzpatrick17k links to.",
        "Put them, named <md5hash>.jpg, anywhere below the folder named above.",
    ),
}
