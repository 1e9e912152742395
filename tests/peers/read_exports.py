"""Run by the peers' Python: opens each export with its tool's own library, and prints what it saw.

python read_exports.py FOLDER, which holds labelme/, label-studio/ and yolo-obb/
"""

import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])


def labelme() -> object:
    from labelme._label_file import LabelFile

    (path,) = (folder / "labelme").glob("*.json")
    file = LabelFile(str(path))
    assert file.image_data
    return [[shape["label"], shape["shape_type"], shape["points"]] for shape in file.shapes]


def label_studio() -> object:
    from label_studio_sdk.label_interface import LabelInterface

    config = (folder / "label-studio" / "config.xml").read_text(encoding="utf-8")
    interface = LabelInterface(config)
    interface.validate()
    (task,) = json.loads((folder / "label-studio" / "tasks.json").read_text(encoding="utf-8"))
    errors = interface.validate_prediction(task["predictions"][0], return_errors=True)
    data = {"data": task["data"]}  # with predictions in it, validate_task calls itself wrongly
    return {"errors": list(errors or []), "task": interface.validate_task(data)}


def yolo_obb() -> object:
    import supervision

    root = folder / "yolo-obb"
    data = supervision.DetectionDataset.from_yolo(
        images_directory_path=str(root / "images" / "train"),
        annotations_directory_path=str(root / "labels" / "train"),
        data_yaml_path=str(root / "data.yaml"),
        is_obb=True,
    )
    ((_, _, found),) = list(data)
    return [data.classes, found.data["xyxyxyxy"].tolist()]


print(json.dumps({"labelme": labelme(), "label-studio": label_studio(), "yolo-obb": yolo_obb()}))
