// Takes a token and goes on to the page that asked for it, on this host alone. Loaded before the form, so that it is never sent by itself.
document.addEventListener('submit', (event) => {
  event.preventDefault();
  const to = new URLSearchParams(location.hash.slice(1)).get('to') ?? '';
  const token = document.getElementById('token').value.trim();
  if (/^\/viewer\/[a-z0-9-]+(\/|$)/.test(to)) location.assign(`${to}#token=${encodeURIComponent(token)}`);
});
