-- History is asked by time: the rounds of a job between two dues, in the order of dues, whatever their numbers are.
CREATE INDEX round_by_due ON round (job_id, due_at);
