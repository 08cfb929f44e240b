{# The moment up to which the copy holds everything; now where nobody says. #}
{% macro as_of() -%}
    {% if var('as_of') %}'{{ var("as_of") }}'::timestamptz{% else %}now(){% endif %}
{%- endmacro %}
