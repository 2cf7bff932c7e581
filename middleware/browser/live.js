// Keeps the count of unread notifications in a page up to date (docs/notifications.md, "Live").
(() => {
  // The server puts the URL of sessions.live() for %URL%.
  const url = document.querySelector('[data-notifications-live]')?.dataset.notificationsLive || '%URL%';
  let source, timer, waitMs, count;

  const show = () => {
    for (const badge of document.querySelectorAll('[data-notifications-badge]')) {
      const limit = +badge.dataset.notificationsBadge || 1 / 0;
      badge.textContent = count > limit ? limit + '+' : count;
      badge.hidden = !count;
    }
  };
  const open = () => {
    close();
    source = new EventSource(url);
    source.onopen = () => (waitMs = 0);
    source.addEventListener('unread', ({ data }) => {
      ({ count } = JSON.parse(data));
      show();
      document.dispatchEvent(new CustomEvent('notifications', { detail: { count } }));
    });
    // A browser comes back by itself after a lost connection, and not after a status other than 200 (2: closed).
    source.onerror = () => {
      if (source.readyState < 2) return;
      waitMs = Math.min(waitMs * 2 || 5000, 300000);
      timer = setTimeout(open, waitMs * (1 + Math.random()));
    };
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
  };
  // A page that nobody looks at takes none of the six connections that a browser has to a host over HTTP/1.1.
  const openIfVisible = () => (document.hidden ? close() : open());

  document.addEventListener('visibilitychange', openIfVisible);
  // The back button can show a page again without running its scripts.
  addEventListener('pageshow', ({ persisted }) => persisted && openIfVisible());
  openIfVisible();
})();
