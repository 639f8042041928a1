//! Creating topics.
//!
//! The SC answers once the SPUs have told it that they serve the partitions: up to 400 ms later than they do, and not
//! at all if it has lost what they told. So the topic is also followed by what the watches and its leaders say;
//! whichever comes first. What is wrong with a create only the SC says. It refuses one at once, but where another has
//! just created the topic, that one may be seen before the refusal is heard: so a refusal gets some time even then.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fluvio::FluvioAdmin;
use fluvio::metadata::topic::{TopicSpec as Upstream, TopicStatus as UpstreamStatus};
use fluvio_sc_schema::objects::Metadata;
use tokio::sync::SetOnce;
use tokio::time::{Instant, timeout};

use super::leaders::Leaders;
use super::spec::{check_topic_name, invalid_topic};
use super::{Topic, TopicSpec, unready};
use crate::admin::{Admin, CreateFlags, Kind, Spu, SpuResolution, done, exists, unsent};
use crate::error::{Error, ErrorKind, Result};

const CREATED: &str = "was created and exists";

/// How long, at least and at most, a refusal may be on its way when the topic has been seen.
const REFUSAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

impl Admin {
    /// Creates a topic and returns it. Names and limits are checked before anything is sent. `wait_ready`: return once
    /// it can be produced to.
    pub async fn create_topic(
        &self,
        name: &str,
        spec: TopicSpec,
        flags: CreateFlags,
        wait_ready: bool,
    ) -> Result<Topic> {
        check_topic_name(name)?;
        spec.validate().map_err(|error| error.with_topic(name))?;
        let mut attempts = self.attempts();
        loop {
            let lost = |error: &Error| error.kind == ErrorKind::Connection;
            match self.try_create_topic(name, &spec, flags, wait_ready, attempts.perhaps()).await {
                // Where it may exist, creating it again changes nothing more.
                Err(error) if flags.exist_ok || flags.dry_run && lost(&error) => attempts.after(error).await?,
                created => return created,
            }
        }
    }

    /// `perhaps`: whether an earlier attempt may have created it.
    async fn try_create_topic(
        &self,
        name: &str,
        spec: &TopicSpec,
        flags: CreateFlags,
        wait_ready: bool,
        perhaps: bool,
    ) -> Result<Topic> {
        if let Err(refused) = self.check_capacity(name, spec).await.map_err(unsent) {
            return match self.find_topic(name).await.map_err(unsent)? {
                Some(topic) if flags.exist_ok => Ok(topic),
                Some(_) => Err(exists::<Topic>(name).with_topic(name)),
                None => Err(refused),
            };
        }
        let request = spec.clone().into_upstream(name);
        let partitions = request.replicas().partitions();
        let created = match flags.dry_run {
            true => self.plan(name, flags, request).await,
            // The home of mirrors that are still to come has no partitions.
            false => self.send_and_follow(name, flags, request, wait_ready && partitions > 0).await,
        };
        match created {
            Err(error) if error.kind == ErrorKind::AlreadyExists && flags.exist_ok => {
                // What an earlier attempt has created is still to become ready.
                if perhaps && wait_ready {
                    self.ready(name, 0..partitions, CREATED).await?;
                }
                self.topic(name).await
            }
            created => created.map_err(|error| error.with_topic(name)),
        }
    }

    /// What the SC would create, if it would.
    async fn plan(&self, name: &str, flags: CreateFlags, request: Upstream) -> Result<Topic> {
        let planned = Metadata { name: name.to_owned(), spec: request.clone(), status: UpstreamStatus::default() };
        self.send_create("topic", name, flags, request).await?;
        Topic::from_upstream(planned)
    }

    /// Asks the SC once for a topic, and follows what becomes of it.
    async fn send_and_follow(
        &self,
        name: &str,
        flags: CreateFlags,
        request: Upstream,
        wait_ready: bool,
    ) -> Result<Topic> {
        let metadata = self.session.metadata();
        let what = format!("creating topic \"{name}\"");
        let partitions = request.replicas().partitions();
        let leaders = match wait_ready {
            true => Some(self.leaders(name, &what).await.map_err(unsent)?),
            false => None,
        };
        let sent = SetOnce::new();
        let wanted = request.clone();
        let create = |admin: Arc<FluvioAdmin>| {
            let _ = sent.set(metadata.read(|metadata| metadata.births()));
            let name = name.to_owned();
            async move { admin.create(name, false, request).await }
        };
        let mut reply = pin!(self.session.controller().long(&self.limit, &what, flags.exist_ok, create));
        let mut seen = pin!(self.see(name, &wanted, &sent, leaders));
        let begun = Instant::now();
        let replied = tokio::select! {
            biased;
            replied = &mut reply => replied,
            seen = &mut seen => match seen {
                // Of two who create it at once the one that is refused sees the other's. That takes some round trips;
                // as many more are given to the refusal, which is older.
                Ok(topic) => return match timeout(begun.elapsed().clamp(REFUSAL.0, REFUSAL.1), reply).await {
                    Ok(Err(error)) if error.kind == ErrorKind::AlreadyExists => Err(error),
                    _ => Ok(topic),
                },
                // Somebody has deleted it meanwhile.
                Err(error) if error.kind == ErrorKind::TopicNotFound => return Err(done(error)),
                Err(_) => {
                    reply.await?;
                    Ok(())
                }
            },
        };
        let has_appeared =
            || metadata.read(|now| now.birth(name).zip(sent.get()).is_some_and(|(birth, at)| birth > *at));
        match replied {
            // Nobody says any more whether it was refused, but it is there.
            Err(error) if matches!(error.kind, ErrorKind::Timeout | ErrorKind::Connection) && has_appeared() => {
                self.limit.hold(seen, |_| unready(name, CREATED)).await.map_err(done)
            }
            Err(error) => Err(error),
            Ok(()) => {
                if wait_ready {
                    self.ready(name, 0..partitions, CREATED).await?;
                }
                self.topic(name).await.map_err(done)
            }
        }
    }

    /// The leaders that a topic may get, none of which serves an earlier one of that name, as far as that can be seen.
    async fn leaders<'a>(&'a self, name: &'a str, what: &str) -> Result<Leaders<'a>> {
        let mut leaders = Leaders::new(&self.session, name, &self.limit);
        let exists = self.session.metadata().read(|metadata| {
            leaders.suspect(metadata);
            metadata.has_topic(name)
        });
        // Of one that exists the SC is about to say so.
        if !exists {
            let overdue = |timeout| self.session.controller().overdue(what, timeout);
            let leave = async {
                leaders.take_leave().await;
                Ok(())
            };
            self.limit.hold(leave, overdue).await?;
        }
        Ok(leaders)
    }

    /// The topic, once it has appeared since the create was `sent`, and its `leaders` serve it, if they are given.
    async fn see(
        &self,
        name: &str,
        wanted: &Upstream,
        sent: &SetOnce<u64>,
        leaders: Option<Leaders<'_>>,
    ) -> Result<Topic> {
        let since = *sent.wait().await;
        let appeared = |metadata: &crate::metadata::Snapshot| metadata.birth(name).filter(|birth| *birth > since);
        self.session.metadata().wait(appeared).await?;
        if let Some(leaders) = leaders {
            leaders.serve(0..wanted.replicas().partitions(), since).await?;
        }
        let topic = self.topic(name).await?;
        if !topic.spec.is_placed_like(&TopicSpec::from_upstream(wanted)) {
            // Another's of that name, created at the same time: the SC is about to say so.
            std::future::pending().await
        }
        Ok(topic)
    }

    /// A replication factor that cannot be served would be waited for.
    async fn check_capacity(&self, name: &str, spec: &TopicSpec) -> Result<()> {
        if spec.mirror.is_some() {
            return Ok(());
        }
        let spus = self.list::<Spu>(None, false, false).await?;
        let online = |spu: &&Spu| spu.status.resolution == SpuResolution::Online;
        let online: Vec<i32> = spus.iter().filter(online).map(|spu| spu.spec.id).collect();
        // One that is away may come back.
        let refusal = |text, passes| {
            let error = invalid_topic(text).with_topic(name);
            Err(if passes { error.passing() } else { error })
        };
        match &spec.assignment {
            None if spec.replication as usize > online.len() => refusal(
                format!(
                    "replication is {}: it must be at most the number of SPUs that are online, {}",
                    spec.replication,
                    online.len()
                ),
                spec.replication as usize <= spus.len(),
            ),
            None => Ok(()),
            Some(assignment) => {
                let mut wanted = assignment.iter().flat_map(|one| &one.replicas);
                match wanted.find(|id| !online.contains(id)) {
                    Some(id) => refusal(
                        format!("assignment names SPU {id}, which is not online"),
                        spus.iter().any(|spu| spu.spec.id == *id),
                    ),
                    None => Ok(()),
                }
            }
        }
    }
}
