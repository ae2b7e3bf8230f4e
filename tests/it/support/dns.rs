//! A name server that answers as its script says, on loopback.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What a question is answered with.
pub enum Reply {
    /// These addresses, as far as they are of the type asked for, fit to be
    /// kept for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// An alias and its addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
    /// Silence.
    Nothing,
}

/// A name server. Ends when dropped.
pub struct NameServer {
    pub at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Answers each question for an address with `script(name, question)`;
    /// `question` counts from 0, per type.
    pub async fn answers(script: impl Fn(&str, usize) -> Reply + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut packet = [0; 1500];
            let mut counts = [0, 0];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let question = Message::from_vec(&packet[..length]).unwrap();
                let name = question.queries[0].name().to_string();
                let count = &mut counts[usize::from(question.queries[0].query_type() == RecordType::AAAA)];
                let reply = script(&name, *count);
                *count += 1;
                log.lock().unwrap().push(name);
                if let Some(answer) = answer(&question, reply) {
                    socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
                }
            }
        });
        Self { at, asked, task }
    }

    /// The names that were asked for, each once.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(question: &Message, reply: Reply) -> Option<Message> {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_query(question.queries[0].clone());
    let name = question.queries[0].name().clone();
    let kind = question.queries[0].query_type();
    let records = |name: Name, ips: Vec<IpAddr>, ttl| {
        let fitting = ips.into_iter().filter(move |ip| ip.is_ipv4() == (kind == RecordType::A));
        fitting.map(move |ip| Record::from_rdata(name.clone(), ttl, RData::from(ip))).collect::<Vec<_>>()
    };
    match reply {
        Reply::Addresses(ips, ttl) => answer.answers = records(name, ips, ttl),
        Reply::Alias(alias, ips) => {
            let alias = Name::from_ascii(alias).unwrap();
            answer.answers.push(Record::from_rdata(name, 60, RData::CNAME(CNAME(alias.clone()))));
            answer.answers.extend(records(alias, ips, 60));
        }
        Reply::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
        Reply::Nothing => return None,
    }
    Some(answer)
}
