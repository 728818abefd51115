"""What may follow what in the life of a job."""

from agenthost.host.jobs.states import JobState, ServerMessage, expects, may_follow


def test_a_job_goes_forward_only_and_everything_can_end() -> None:
    """No state is entered twice, and ENDED is the last."""
    order = list(JobState)
    for state in JobState:
        followers = {following for following in JobState if may_follow(state, following)}
        assert all(order.index(following) > order.index(state) for following in followers)
        assert (JobState.ENDED in followers) == (state is not JobState.ENDED)


def test_only_an_accepted_job_can_be_assigned() -> None:
    """Whatever else a server says of an assignment changes nothing."""
    assert [state for state in JobState if expects(state, ServerMessage.ASSIGNMENT)] == [JobState.ACCEPTED]


def test_a_job_is_terminated_between_its_acceptance_and_its_end() -> None:
    """Before, the server has not got our answer; after, there is nothing to end."""
    meant = [state for state in JobState if expects(state, ServerMessage.TERMINATION)]
    assert meant == [JobState.ACCEPTED, JobState.STARTING, JobState.RUNNING, JobState.ENDING]
