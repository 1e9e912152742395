// The code of a one-time link stands behind the # of its address, which no browser sends anywhere.
const code = document.getElementById("code");
if (code && location.pathname === "/join" && location.hash.length > 1) {
  code.value = location.hash.slice(1);
  history.replaceState(null, "", "/join");
  document.getElementById("password").focus();
}
