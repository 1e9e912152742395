"""Run by the peers' Python: opens a COCO folder, prints what each saw, and writes it anew by each.

python read_coco.py FOLDER OUTPUT; Datumaro writes OUTPUT/coco and OUTPUT/cvat, supervision
OUTPUT/boxes
"""

import json
import sys
from pathlib import Path

import datumaro
import supervision

folder, output = map(Path, sys.argv[1:])
names = {"images_directory_path": str(folder / "images")}
file = str(folder / "annotations" / "instances_default.json")

boxes = supervision.DetectionDataset.from_coco(**names, annotations_path=file)
masks = supervision.DetectionDataset.from_coco(**names, annotations_path=file, force_masks=True)
((_, photo, objects),) = boxes
((_, _, outlined),) = masks
seen_by_supervision = [
    boxes.classes,
    list(photo.shape),
    objects.xyxy.tolist(),
    [int(mask.sum()) for mask in outlined.mask],
]
boxes.as_coco(
    images_directory_path=str(output / "boxes" / "images"),
    annotations_path=str(output / "boxes" / "annotations" / "instances.json"),
)

(told,) = datumaro.Environment().detect_dataset(str(folder))
dataset = datumaro.Dataset.import_from(str(folder), told)
(item,) = dataset
seen_by_datumaro = [
    told,
    list(item.media.data.shape),
    sorted(
        [type(entry).__name__, entry.attributes["desc"], [float(value) for value in entry.points]]
        for entry in item.annotations
    ),
]
dataset.export(str(output / "coco"), "coco_instances", save_media=True)
dataset.export(str(output / "cvat"), "cvat", save_media=True, allow_undeclared_attrs=True)

print(json.dumps({"supervision": seen_by_supervision, "datumaro": seen_by_datumaro}))
