//! Requests for the system extension, to SystemExtensions.framework.
//!
//! macOS answers on a queue of its own while this thread waits: approvals can take days, so it waits for the first thing
//! that a person could act on.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use dispatch2::DispatchQueue;
use objc2::rc::Retained;
use objc2::runtime::{NSObject, NSObjectProtocol, ProtocolObject};
use objc2::{AnyThread, DefinedClass, define_class, msg_send};
use objc2_foundation::{NSError, NSString};
use objc2_system_extensions::{
    OSSystemExtensionManager, OSSystemExtensionProperties, OSSystemExtensionReplacementAction,
    OSSystemExtensionRequest, OSSystemExtensionRequestDelegate, OSSystemExtensionRequestResult,
};

use crate::extension::{Outcome, PATIENCE, Request};
use crate::identity;

/// Asks macOS and waits for its first answer, at most [`PATIENCE`].
pub(crate) fn ask(request: Request) -> Outcome {
    let (delegate, answers) = Delegate::new();
    let id = NSString::from_str(&identity::sensor_id());
    let queue = DispatchQueue::new("extension", None);
    // SAFETY: the queue is a serial one, which is what the framework calls the delegate on; the request is given to the
    // manager once and keeps neither the delegate, which lives until this returns, nor anything else of ours.
    unsafe {
        let request = match request {
            Request::Activate => OSSystemExtensionRequest::activationRequestForExtension_queue(&id, &queue),
            Request::Deactivate => {
                OSSystemExtensionRequest::deactivationRequestForExtension_queue(&id, &queue)
            }
        };
        request.setDelegate(Some(ProtocolObject::from_ref(&*delegate)));
        OSSystemExtensionManager::sharedManager().submitRequest(&request);
        let outcome = answers.recv_timeout(PATIENCE).unwrap_or(Outcome::TimedOut);
        // An answer that still comes finds nobody.
        request.setDelegate(None);
        outcome
    }
}

/// Where answers go. Behind a lock, as the queue's thread is not this one.
struct Answers(Mutex<Sender<Outcome>>);

define_class!(
    // SAFETY: NSObject has no requirements for its subclasses, and Delegate does not implement Drop.
    #[unsafe(super(NSObject))]
    #[name = "VedetteExtensionDelegate"]
    #[ivars = Answers]
    struct Delegate;

    // SAFETY: NSObjectProtocol has no requirements.
    unsafe impl NSObjectProtocol for Delegate {}

    // SAFETY: the methods have the protocol's signatures (OSSystemExtensionRequest.h).
    unsafe impl OSSystemExtensionRequestDelegate for Delegate {
        /// Called where another version is active: this app's takes its place, older or newer, as it was installed.
        #[unsafe(method(request:actionForReplacingExtension:withExtension:))]
        fn replaces(
            &self,
            _request: &OSSystemExtensionRequest,
            _active: &OSSystemExtensionProperties,
            _new: &OSSystemExtensionProperties,
        ) -> OSSystemExtensionReplacementAction {
            OSSystemExtensionReplacementAction::Replace
        }

        #[unsafe(method(requestNeedsUserApproval:))]
        fn needs_approval(&self, _request: &OSSystemExtensionRequest) {
            self.answer(Outcome::NeedsApproval);
        }

        #[unsafe(method(request:didFinishWithResult:))]
        fn finished(&self, _request: &OSSystemExtensionRequest, result: OSSystemExtensionRequestResult) {
            self.answer(Outcome::finished(result.0 as i64));
        }

        #[unsafe(method(request:didFailWithError:))]
        fn failed(&self, _request: &OSSystemExtensionRequest, error: &NSError) {
            let (domain, text) = (error.domain().to_string(), error.localizedDescription().to_string());
            self.answer(Outcome::failed(&domain, error.code() as i64, &text));
        }
    }
);

impl Delegate {
    fn new() -> (Retained<Self>, Receiver<Outcome>) {
        let (sender, receiver) = channel();
        let this = Self::alloc().set_ivars(Answers(Mutex::new(sender)));
        // SAFETY: NSObject's init takes nothing and returns the object.
        (unsafe { msg_send![super(this), init] }, receiver)
    }

    fn answer(&self, outcome: Outcome) {
        let sender = self.ivars().0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The first was enough where nobody waits any more.
        let _ = sender.send(outcome);
    }
}
