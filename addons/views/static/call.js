// Copies a command. Everything else on the page works without scripts.
for (const command of document.querySelectorAll("pre.command")) {
  if (!navigator.clipboard) break; // only where the page is a secure context: loopback is
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed: select the text instead";
    }
  });
  command.before(button);
}
// A link to a message opens what it is folded in.
const openTarget = () => {
  let node = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  const target = node;
  for (; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", openTarget);
openTarget();
