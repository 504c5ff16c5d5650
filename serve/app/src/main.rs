//! The reference application.
fn main() {
    println!("{:?}", std::net::ToSocketAddrs::to_socket_addrs("localhost:80").map(|a| a.collect::<Vec<_>>()));
}
