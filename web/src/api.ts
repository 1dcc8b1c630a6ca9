import type { Action, Job, Label, Project, Saved, State, View } from "./types.ts";

/** The server refused a request and said why. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly text: string,
    readonly advice: string,
  ) {
    super([text, advice].filter(Boolean).join(" "));
  }
}

/** No answer arrived, so it is unknown whether the server has carried the request out. */
export class Unreachable extends Error {}

/** Begins with a capital, unless the first word is a name with digits or signs, and ends with a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const start = /^[a-z]+[,;:.!?]?(\s|$)/.test(trimmed) ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** Turns the body of an error answer into a `Refused`; anything that is not the agreed shape still gives a readable sentence. */
export function refusal(status: number, body: unknown): Refused {
  const error = (body as { error?: unknown } | null)?.error;
  if (error && typeof error === "object") {
    const { text, given, expected, do: advice } = error as Record<string, unknown>;
    const said = sentence(text ? String(text) : `The server refused (${status}).`);
    const parts: [string, unknown][] = [["Given: ", given], ["Expected: ", expected], ["", advice]];
    // A sentence that names its parts already needs none of them a second time.
    const more = parts.filter(([, part]) => part && !said.toLowerCase().includes(String(part).toLowerCase()));
    return new Refused(status, said, more.map(([name, part]) => sentence(name + String(part))).join(" "));
  }
  if (status === 401 || status === 403) {
    return new Refused(status, "The key in this address is not valid.", "Open the address that the annotate command printed.");
  }
  return new Refused(status, `The server refused (${status}).`, "Try again; if it happens again, look at the server's terminal.");
}

export class Api {
  constructor(
    private readonly token: string,
    private readonly send: typeof fetch = (...args) => fetch(...args),
  ) {}

  private async request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { "X-Promisam-Token": this.token };
    const options: RequestInit = { method, headers, cache: "no-store" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    if (signal) options.signal = signal;
    let answer: Response;
    try {
      answer = await this.send(path, options);
    } catch (problem) {
      if ((problem as Error).name === "AbortError") throw problem;
      throw new Unreachable("The server does not answer.");
    }
    if (!answer.ok) throw refusal(answer.status, await answer.json().catch(() => null));
    return answer;
  }

  private async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.request(method, path, body);
    try {
      return (await answer.json()) as T;
    } catch {
      throw new Unreachable("The answer broke off.");
    }
  }

  private image(name: string, what: string): string {
    return `/api/images/${encodeURIComponent(name)}/${what}`;
  }

  project(): Promise<Project> {
    return this.json("GET", "/api/project");
  }

  async setLabels(labels: Label[]): Promise<Label[]> {
    const answer = await this.json<Label[] | { labels: Label[] }>("PUT", "/api/labels", { labels });
    return Array.isArray(answer) ? answer : answer.labels;
  }

  async newSession(): Promise<string> {
    return (await this.json<{ session: string }>("POST", "/api/sessions", {})).session;
  }

  async session(id: string): Promise<View | null> {
    const view = await this.json<View | { image: null }>("GET", `/api/sessions/${id}`);
    return view.image === null ? null : (view as View);
  }

  open(id: string, image: string, take = false): Promise<View> {
    return this.json("POST", `/api/sessions/${id}/open`, { image, take });
  }

  act(id: string, action: Action): Promise<View> {
    return this.json("POST", `/api/sessions/${id}/actions`, action);
  }

  save(id: string, state: State, next: boolean): Promise<Saved> {
    return this.json("POST", `/api/sessions/${id}/save`, { state, next });
  }

  async picture(name: string, low: number, high: number, signal?: AbortSignal): Promise<Blob> {
    return (await this.request("GET", `${this.image(name, "picture")}?low=${low}&high=${high}`, undefined, signal)).blob();
  }

  async volume(name: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    return (await this.request("GET", this.image(name, "volume"), undefined, signal)).arrayBuffer();
  }

  /** An <img> cannot send a header, so the token travels in its address. */
  thumbnail(name: string): string {
    return `${this.image(name, "thumbnail")}?token=${encodeURIComponent(this.token)}`;
  }

  startJob(job: { kind: "select"; k: number } | { kind: "learn"; method: string } | { kind: "presegment" }): Promise<Job> {
    return this.json("POST", "/api/jobs", job);
  }

  /** With a session, the server hears that its page is still there. */
  jobs(session = ""): Promise<Job[]> {
    return this.json("GET", session ? `/api/jobs?session=${encodeURIComponent(session)}` : "/api/jobs");
  }

  /** Says that the page goes away, when nothing can be awaited any more. */
  leave(id: string): void {
    navigator.sendBeacon(`/api/sessions/${id}/leave?token=${encodeURIComponent(this.token)}`);
  }

  cancelJob(id: string): Promise<Job> {
    return this.json("DELETE", `/api/jobs/${id}`);
  }
}
