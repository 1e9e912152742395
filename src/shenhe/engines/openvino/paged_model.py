"""The language model of an export, rewritten so that many sequences go through one pass.

An export keeps keys and values inside the model, for sequences of one length. OpenVINO's own
rewriting for continuous batching replaces its attention by one over blocks of memory that belong to
the caller; here the LM head is also kept to the tokens behind which something is chosen.
"""

from __future__ import annotations

import openvino
from openvino import opset13
from openvino._offline_transformations import paged_attention_transformation

from shenhe.errors import EngineError

CHOSEN = "chosen_tokens"
"""Input: the indices of the tokens whose logits are wanted."""


def paged(model: openvino.Model) -> openvino.Model:
    """Rewrite a language model in place, and return it.

    Raises: EngineError for a model that is none, or of another family.
    """
    try:
        paged_attention_transformation(model)
        _keep_head_to_chosen_tokens(model)
    except RuntimeError as error:
        raise EngineError(f"this export cannot run in batches: {error}") from error
    return model


def _keep_head_to_chosen_tokens(model: openvino.Model) -> None:
    """Put a selection of tokens in front of the LM head.

    Raises: RuntimeError for a model without one.
    """
    node = model.get_results()[0].input_value(0).get_node()
    while node.get_type_name() != "MatMul":
        if node.get_input_size() == 0:
            raise RuntimeError("no matrix product gives its logits")
        node = node.input_value(0).get_node()
    chosen = opset13.parameter([-1], openvino.Type.i64, name=CHOSEN)
    chosen.output(0).get_tensor().set_names({CHOSEN})
    hidden = node.input(0).get_source_output()
    node.input(0).replace_source_output(opset13.gather(hidden, chosen, 0).output(0))
    model.add_parameters([chosen])
    model.validate_nodes_and_infer_types()
