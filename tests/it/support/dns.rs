//! A name server that answers as its script says, on loopback: over UDP, and
//! over TCP what is too long for UDP.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// What a question is answered with.
pub enum Reply {
    /// These addresses, as far as they are of the type asked for, fit to be
    /// kept for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// An alias and its addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// An alias, of which nothing is said: it must be asked for.
    AliasOnly(&'static str),
    /// These addresses, after so long.
    Late(Duration, Vec<IpAddr>),
    /// More than fits, however it is asked for.
    NeverWhole,
    /// There is no such name.
    NoSuchName,
    /// Silence.
    Nothing,
}

/// What fits into an answer over UDP.
const FITS: usize = 1232;

type Script = dyn Fn(&str, usize) -> Reply + Send + Sync;

/// A name server. Ends when dropped.
pub struct NameServer {
    pub at: SocketAddr,
    desk: Arc<Desk>,
    _tasks: JoinSet<()>,
}

/// Where questions are counted and answered.
struct Desk {
    script: Box<Script>,
    asked: Mutex<Vec<(String, RecordType)>>,
}

impl NameServer {
    /// Answers each question for an address with `script(name, question)`;
    /// `question` counts from 0, per type.
    pub async fn answers(script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets().await;
        let at = udp.local_addr().unwrap();
        let desk = Arc::new(Desk { script: Box::new(script), asked: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(by_packet(udp, Arc::clone(&desk)));
        tasks.spawn(by_connection(tcp, Arc::clone(&desk)));
        Self { at, desk, _tasks: tasks }
    }

    /// The names that were asked for, each once.
    pub fn asked(&self) -> Vec<String> {
        let mut asked: Vec<_> =
            self.desk.asked.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
        asked.sort();
        asked.dedup();
        asked
    }

    /// How many questions there were.
    pub fn questions(&self) -> usize {
        self.desk.asked.lock().unwrap().len()
    }
}

/// Both at the same port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn by_packet(socket: UdpSocket, desk: Arc<Desk>) {
    let socket = Arc::new(socket);
    let mut packet = [0; 1500];
    let mut late = JoinSet::new();
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let question = Message::from_vec(&packet[..length]).unwrap();
        let Some((after, mut answer)) = desk.answer(&question) else { continue };
        let mut bytes = answer.to_vec().unwrap();
        if bytes.len() > FITS {
            answer.answers.clear();
            answer.metadata.truncation = true;
            bytes = answer.to_vec().unwrap();
        }
        let socket = Arc::clone(&socket);
        late.spawn(async move {
            tokio::time::sleep(after).await;
            let _ = socket.send_to(&bytes, from).await;
        });
    }
}

async fn by_connection(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&desk)));
    }
}

/// Question after question, each with its length before it.
async fn converse(mut stream: TcpStream, desk: Arc<Desk>) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; usize::from(length)];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        let Some((after, answer)) = desk.answer(&Message::from_vec(&question).unwrap()) else { continue };
        tokio::time::sleep(after).await;
        let bytes = answer.to_vec().unwrap();
        let length = u16::try_from(bytes.len()).unwrap();
        if stream.write_u16(length).await.is_err() || stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl Desk {
    /// The answer, and how long it takes; `None` is silence.
    fn answer(&self, question: &Message) -> Option<(Duration, Message)> {
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(question.queries[0].clone());
        let name = question.queries[0].name().clone();
        let kind = question.queries[0].query_type();
        let count = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((name.to_string(), kind));
            asked.iter().filter(|(_, of)| *of == kind).count() - 1
        };
        let records = |name: &Name, ips: Vec<IpAddr>, ttl| {
            let fitting = ips.into_iter().filter(move |ip| ip.is_ipv4() == (kind == RecordType::A));
            let record = |ip| Record::from_rdata(name.clone(), ttl, RData::from(ip));
            fitting.map(record).collect::<Vec<_>>()
        };
        let alias = |alias: &str| {
            let alias = Name::from_ascii(alias).unwrap();
            (Record::from_rdata(name.clone(), 60, RData::CNAME(CNAME(alias.clone()))), alias)
        };
        let mut after = Duration::ZERO;
        match (self.script)(&name.to_string(), count) {
            Reply::Addresses(ips, ttl) => answer.answers = records(&name, ips, ttl),
            Reply::Alias(to, ips) => {
                let (record, to) = alias(to);
                answer.answers.push(record);
                answer.answers.extend(records(&to, ips, 60));
            }
            Reply::AliasOnly(to) => answer.answers.push(alias(to).0),
            Reply::Late(span, ips) => (after, answer.answers) = (span, records(&name, ips, 60)),
            Reply::NeverWhole => answer.metadata.truncation = true,
            Reply::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
            Reply::Nothing => return None,
        }
        Some((after, answer))
    }
}
