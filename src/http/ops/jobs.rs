//! `/jobs`: work that has a name, and how it is started; `/jobs/queue`: every job that waits, runs or is dead.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /jobs`, `GET /jobs/NAME` | tells how far they are and what the last run did |
//! | `POST /jobs/NAME` | asks for a run now |
//! | `GET /jobs/queue?queue=Q&state=waiting,running or dead&after=ID&limit=N` | a page of jobs |
//! | `GET /jobs/queue/ID`, `DELETE /jobs/queue/ID` | a job; drops it |
//! | `POST /jobs/queue/ID/retry`, `POST /jobs/queue/retry?queue=Q` | lets a job, or all dead ones of a queue, begin anew |

use http::{Method, Response, StatusCode};
use serde_json::json as value;

use super::super::transport::ResponseBody;
use super::asking::Asking;
use super::{json, text};
use crate::jobs::Jobs;
use crate::meta::{JobFilter, JobId, JobState};

/// Questions at once.
const MAX_QUESTIONS: usize = 4;

/// Jobs of a page, unless it says otherwise, and at most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Board {
    jobs: Jobs,
    asking: Asking,
}

type Answered = Result<Response<ResponseBody>, Response<ResponseBody>>;

impl Board {
    pub(super) fn new(jobs: Jobs) -> Self {
        Self { jobs, asking: Asking::new(MAX_QUESTIONS) }
    }

    /// `path` is what follows `/jobs`.
    pub(super) async fn answer(&self, method: &Method, path: &str, query: &str) -> Response<ResponseBody> {
        let answered = match path.strip_prefix("/queue") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => self.queue(method, rest, query).await,
            _ => self.named(method, path).await,
        };
        answered.unwrap_or_else(|refused| refused)
    }

    async fn named(&self, method: &Method, path: &str) -> Answered {
        let (jobs, name) = (self.jobs.clone(), path.trim_start_matches('/').to_owned());
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if name.is_empty() {
            if !is_read {
                return Err(text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
            }
            let states = self.asking.ask("jobs", async move { jobs.states().await }).await?;
            return Ok(json(StatusCode::OK, &states));
        }
        let (status, state) = if is_read {
            (StatusCode::OK, self.asking.ask("a job", async move { jobs.state(&name).await }).await?)
        } else if *method == Method::POST {
            (StatusCode::ACCEPTED, self.asking.ask("a job", async move { jobs.start(&name).await }).await?)
        } else {
            return Err(text(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST\n"));
        };
        match state {
            Some(state) => Ok(json(status, &state)),
            None => Err(text(StatusCode::NOT_FOUND, "there is no such job; /jobs lists them\n")),
        }
    }

    async fn queue(&self, method: &Method, rest: &str, query: &str) -> Answered {
        let jobs = self.jobs.clone();
        let wrong = |why: String| text(StatusCode::BAD_REQUEST, why + "\n");
        let asked = Asked::of_query(query).map_err(wrong)?;
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET" | "HEAD", []) => {
                let limit = asked.limit;
                let listed = async move { jobs.list(&asked.filter, asked.after, limit).await };
                let page = self.asking.ask("jobs", listed).await?;
                let is_full = page.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
                let next = page.last().map(|job| job.id).filter(|_| is_full);
                Ok(json(StatusCode::OK, &value!({ "jobs": page, "next": next })))
            }
            ("POST", ["retry"]) => {
                let Some(queue) = asked.filter.queue else {
                    return Err(wrong("say whose dead jobs begin anew: ?queue=NAME".to_owned()));
                };
                let retried = self.asking.ask("jobs", async move { jobs.retry_dead(&queue).await }).await?;
                Ok(json(StatusCode::OK, &value!({ "retried": retried })))
            }
            ("GET" | "HEAD", [id]) => self.shown(job_id(id).map_err(wrong)?).await,
            ("POST", [id, "retry"]) => {
                let id = job_id(id).map_err(wrong)?;
                match self.asking.ask("a job", async move { jobs.retry(id).await }).await? {
                    true => self.shown(id).await,
                    false => self.not_done(id).await,
                }
            }
            ("DELETE", [id]) => {
                let id = job_id(id).map_err(wrong)?;
                match self.asking.ask("a job", async move { jobs.drop_job(id).await }).await? {
                    true => Ok(text(StatusCode::NO_CONTENT, "")),
                    false => self.not_done(id).await,
                }
            }
            (_, [] | [_] | [_, "retry"]) => Err(text(StatusCode::METHOD_NOT_ALLOWED, "not by this method\n")),
            _ => Err(text(StatusCode::NOT_FOUND, "there are /jobs/queue, /jobs/queue/ID and /jobs/queue/ID/retry\n")),
        }
    }

    async fn shown(&self, id: JobId) -> Answered {
        let jobs = self.jobs.clone();
        match self.asking.ask("a job", async move { jobs.find(id).await }).await? {
            Some(job) => Ok(json(StatusCode::OK, &job)),
            None => Err(text(StatusCode::NOT_FOUND, "there is no such job: it was done, or dropped\n")),
        }
    }

    /// It is gone, or it runs.
    async fn not_done(&self, id: JobId) -> Answered {
        self.shown(id).await?;
        Err(text(StatusCode::CONFLICT, "it runs: wait until it has ended\n"))
    }
}

/// Which jobs a query asks for.
#[derive(Debug)]
struct Asked {
    filter: JobFilter,
    after: Option<JobId>,
    limit: u32,
}

impl Asked {
    fn of_query(query: &str) -> Result<Self, String> {
        let mut asked = Self { filter: JobFilter::default(), after: None, limit: PAGE };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "queue" => asked.filter.queue = Some(value.into_owned()),
                "state" => {
                    let state = JobState::ALL.into_iter().find(|state| state.name() == value);
                    asked.filter.state = Some(state.ok_or("state is waiting, running or dead")?);
                }
                "after" => asked.after = Some(job_id(&value)?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                    asked.limit = limit.ok_or_else(|| format!("limit is a number from 1 to {LARGEST_PAGE}"))?;
                }
                _ => return Err(format!("there is no parameter {name:?}: there are queue, state, after and limit")),
            }
        }
        Ok(asked)
    }
}

fn job_id(text: &str) -> Result<JobId, String> {
    text.parse().map(JobId).map_err(|_| format!("{text:?} is not the number of a job"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let asked = Asked::of_query("queue=gc&state=dead&after=7&limit=3").unwrap();
        let filter = JobFilter { queue: Some("gc".to_owned()), state: Some(JobState::Dead) };
        assert_eq!((asked.filter, asked.after, asked.limit), (filter, Some(JobId(7)), 3));
        assert_eq!(Asked::of_query("").unwrap().limit, PAGE);
        for wrong in ["state=gone", "limit=0", "limit=1001", "limit=x", "after=x", "more=1"] {
            assert!(Asked::of_query(wrong).is_err(), "{wrong}");
        }
    }
}
