// Times in the reader's zone, which they name; without a script they are in UTC, and say so.

// Airflow keeps the zone that its reader has chosen here, as JSON; else it is the browser's.
function zone() {
  try {
    const chosen = JSON.parse(localStorage.getItem("timezone")) ?? undefined;
    new Intl.DateTimeFormat("en", { timeZone: chosen });
    return chosen;
  } catch { return undefined; /* storage may be forbidden, or hold no zone */ }
}

// Write the times of a page, or of a part of it, in the reader's zone.
export function tellTimes(root) {
  const form = new Intl.DateTimeFormat("en-GB", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    timeZoneName: "short", timeZone: zone(),
  });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const part = Object.fromEntries(form.formatToParts(moment).map(({ type, value }) => [type, value]));
    time.title ||= time.textContent;
    time.textContent =
      `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute} ${part.timeZoneName}`;
  }
}
