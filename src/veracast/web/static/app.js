(() => {
  "use strict";

  // A job's progress, as the server draws it; when it has ended the page is loaded once more.
  const box = document.querySelector("[data-events]");
  if (box) {
    const source = new EventSource(box.dataset.events);
    source.onmessage = (event) => {
      const news = JSON.parse(event.data);
      if (!["waiting", "running"].includes(news.state)) {
        source.close();
        location.reload();
        return;
      }
      box.innerHTML = news.html;
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    };
    addEventListener("pagehide", () => source.close());
  }

  // An upload is sent once, and says that it is under way.
  const form = document.querySelector('form[action="/upload"]');
  if (form) {
    form.addEventListener("submit", () => {
      form.querySelector("button.main").disabled = true;
      document.getElementById("sent").textContent = "Sending; the page changes when all has come.";
    });
    addEventListener("pageshow", () => {
      form.querySelector("button.main").disabled = false;
      document.getElementById("sent").textContent = "";
    });
  }
})();
