// One group to the service: the same upload is one job however often it is sent, so it is sent again until it is in.
const PATIENCE = 6; // tries of a connection that is lost
const LONGEST = 60; // seconds between tries

// Sends a group and gives its job; tells of progress, and of waits, as it goes on. Raises {code, message} of a refusal.
export async function send(group, lane, tell) {
  for (let lost = 0; ; ) {
    const answer = await post(group, lane, tell);
    if (answer.status === 200 || answer.status === 202) return answer.body;
    const isBusy = answer.status === 429 || answer.status === 503;
    if (!isBusy && answer.status) throw answer.body?.error ?? { code: "other" };
    if (!isBusy && ++lost > PATIENCE) throw { code: "cut" };
    const seconds = Math.min(LONGEST, isBusy ? answer.seconds : 2 ** lost);
    tell(isBusy ? "later" : "lost", 0, seconds);
    await new Promise((go) => setTimeout(go, 1000 * seconds));
  }
}
function post({ mission, id, files }, lane, tell) {
  const form = new FormData();
  form.append("mission", mission);
  form.append("group_id", id);
  form.append("lane", lane);
  for (const file of files) form.append("photos", file, file.name);
  return new Promise((give) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/groups");
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => tell(loaded < total ? "sending" : "checking", loaded / total);
    request.onload = () => {
      const seconds = Number(request.getResponseHeader("Retry-After")) || 5;
      give({ status: request.status, body: request.response, seconds });
    };
    request.onerror = request.ontimeout = () => give({ status: 0 });
    request.send(form);
  });
}
