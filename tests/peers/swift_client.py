"""Run by the peers' Python: what ms-swift's own client gets from a service, as JSON.

python swift_client.py PORT PHOTO QUESTION
"""

import json
import sys

from swift.infer_engine import InferClient, InferRequest, RequestConfig
from swift.metrics import InferStats

port, photo, question = sys.argv[1:]
client, stats = InferClient(port=int(port)), InferStats()
parts = [{"type": "image", "image": photo}, {"type": "text", "text": question}]
asked = [
    InferRequest(messages=[{"role": "user", "content": parts}]),
    InferRequest(messages=[{"role": "user", "content": f"<image>{question}"}], images=[photo]),
]
whole = client.infer(asked, RequestConfig(max_tokens=32, temperature=0), metrics=[stats])
texts = [response.choices[0].message.content for response in whole]
streams = client.infer(
    asked[:1], RequestConfig(max_tokens=32, temperature=0, stream=True), metrics=[stats]
)
pieces = [chunk.choices[0].delta.content for chunk in streams[0] if chunk is not None]
problem = ""
try:
    client.infer(asked, RequestConfig(max_tokens=32, presence_penalty=1.0))
except Exception as error:
    problem = str(error)
print(json.dumps({"models": client.models, "texts": texts, "pieces": pieces, "problem": problem}))
