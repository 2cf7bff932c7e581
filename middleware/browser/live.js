// Keeps the count of unread notifications in a page up to date (docs/notifications.md, "Live").
(() => {
  const url = document.querySelector('[data-notifications-live]')?.dataset.notificationsLive || '%URL%';
  let source, timer, wait, count;

  const show = () => {
    for (const badge of document.querySelectorAll('[data-notifications-badge]')) {
      const most = +badge.dataset.notificationsBadge || 1 / 0;
      badge.textContent = count > most ? most + '+' : count;
      badge.hidden = !count;
    }
  };
  const open = () => {
    close();
    source = new EventSource(url);
    source.onopen = () => (wait = 0);
    source.addEventListener('unread', ({ data }) => {
      ({ count } = JSON.parse(data));
      show();
      document.dispatchEvent(new CustomEvent('notifications', { detail: { count } }));
    });
    // A browser comes back by itself after a lost connection, and not after a status that says "later".
    source.onerror = () => {
      if (source.readyState < 2) return;
      wait = Math.min(wait * 2 || 5000, 300000);
      timer = setTimeout(open, wait * (1 + Math.random()));
    };
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
  };
  // A page that nobody looks at takes none of the six connections that a browser has to a host over HTTP/1.1.
  const look = () => (document.hidden ? close() : open());

  document.addEventListener('visibilitychange', look);
  // A page that comes back by the back button.
  addEventListener('pageshow', ({ persisted }) => persisted && look());
  look();
})();
